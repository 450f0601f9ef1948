"""What a service answers, read into the interface's types: nothing else of it is believed. Problems become errors."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from nbstep.backends.server.interface import ProblemTold
from nbstep.errors import KINDS, RunNotFoundError, ServiceDeniedError, ServiceUnavailableError, error_of
from nbstep.views.text import visible_line
from nbstep_runner.contract import ErrorInfo
from nbstep_runner.errors import BadInputError, NbstepError, UsageError

LONGEST_SENTENCE: Final = 2000
"""Characters of what a service says that are shown."""
T = TypeVar("T")


def decoded(data: bytes, kind: type[T], url: str) -> T:
    """An answer as one of the interface's types.

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
        problem = msgspec.json.decode(body, type=ProblemTold)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _of_status(status, url)
    if status == 405:  # all other requests have been in the interface from its first version on
        return UsageError(
            f"the service at {url} starts and ends no sweeps", hint="It is an older one: ask whoever runs it."
        )
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
