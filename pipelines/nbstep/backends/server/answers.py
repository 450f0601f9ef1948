"""What a service answers, read into closed types: nothing else of it is believed. Its problems become our errors."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from nbstep.errors import KINDS, RunNotFoundError, ServiceDeniedError, ServiceUnavailableError, error_of
from nbstep.views.text import visible_line
from nbstep_runner.contract import ErrorInfo, Progress, RunResult, RunState
from nbstep_runner.errors import BadInputError, NbstepError

LONGEST_SENTENCE: Final = 2000
"""Characters of what a service says that are shown."""
T = TypeVar("T")


class Accepted(msgspec.Struct, frozen=True):
    """A run that was started, or asked to end."""

    id: str
    folder: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run as a list tells it."""

    id: str
    state: RunState
    attempt: int
    notebook: str
    started_at: str = ""
    ended_at: str | None = None
    seconds: float | None = None
    exit_code: int | None = None
    parameters: dict[str, Any] = {}
    results: dict[str, Any] = {}
    labels: dict[str, str] = {}
    progress: Progress | None = None
    error: ErrorInfo | None = None

    def record(self, output_uri: str) -> RunResult:
        """The same as a record that has no more than that."""
        return RunResult(
            run_id=self.id,
            attempt=self.attempt,
            spec_digest="",
            state=self.state,
            input_uri=self.notebook,
            output_uri=output_uri,
            exit_code=self.exit_code,
            error=self.error,
            started_at=self.started_at,
            ended_at=self.ended_at,
            seconds=self.seconds,
            results=self.results,
            parameters=self.parameters,
            labels=self.labels,
            progress=self.progress,
        )


class Page(msgspec.Struct, frozen=True):
    """Some runs, and where the next ones are asked for."""

    runs: tuple[Summary, ...]
    next: str | None = None


class ObjectOfRun(msgspec.Struct, frozen=True):
    """An object that can be fetched."""

    name: str
    size: int


class Detail(Summary, frozen=True, kw_only=True):
    """One run."""

    words: str = ""
    problems: tuple[str, ...] = ()
    objects: tuple[ObjectOfRun, ...] = ()


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem of RFC 9457, as nbstep's service tells one."""

    detail: str
    reference: str
    hint: str = ""


def decoded(data: bytes, kind: type[T], url: str) -> T:
    """An answer as one of these types.

    Raises:
        ServiceUnavailableError: It is something else: what answers there is no such service.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise no_service(url) from None


def no_service(url: str) -> ServiceUnavailableError:
    """What answers there does not speak as a service of nbstep does."""
    return ServiceUnavailableError(
        f"what answers at {url} is no service of nbstep", hint="Correct server.url in the profile."
    )


def error_told(status: int, body: bytes, url: str) -> NbstepError:
    """The error that an answer tells of: with the exit code, the sentence and the hint that it has where it arose.

    Args:
        status: The answer's.
        body: What it says.
        url: The service's.
    """
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _of_status(status, url)
    detail, hint = (visible_line(text[:LONGEST_SENTENCE]) for text in (problem.detail, problem.hint))
    if problem.reference in KINDS:
        return error_of(ErrorInfo(reference=problem.reference, message=detail, hint=hint))
    if status == 401:
        return ServiceDeniedError(f"the service at {url} refuses the request: {detail}")
    kind = {403: ServiceDeniedError, 404: RunNotFoundError, 413: BadInputError}.get(status, ServiceUnavailableError)
    return kind(detail, hint=hint)


def _of_status(status: int, url: str) -> NbstepError:
    """The error that an answer tells of which is not the service's own, such as that of a proxy before it."""
    if status in (401, 403):
        return ServiceDeniedError(f"what stands before the service at {url} refuses the request ({status})")
    if status == 413:
        return BadInputError(f"what stands before the service at {url} refuses the request: it is too large")
    if status >= 500:
        return ServiceUnavailableError(f"the service at {url} answers {status}")
    return no_service(url)
