"""One call of the API: repeated while the API is overloaded or away; a failure becomes an error of ours."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import urllib3
from kubernetes.client.exceptions import ApiException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential, wait_random

from nbstep.errors import ClusterDeniedError, ClusterUnavailableError, RunNotFoundError
from nbstep_runner.errors import BadInputError, NbstepError, OutputConflictError, UsageError

TIMEOUT: Final = (5.0, 30.0)
"""Seconds to connect, and between two pieces of an answer."""
PATIENCE: Final = 300.0
"""Seconds that an API that does not answer is tried again."""
PATIENCE_VARIABLE: Final = "NBSTEP_CLUSTER_PATIENCE"
TOLD_AFTER: Final = 4
"""Failed attempts after which whoever waits is told: about two seconds."""
PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
Reply = dict[str, Any]
_LOG: Final = logging.getLogger("nbstep")


class Calls:
    """Makes calls of the library's functions.

    Args:
        patience: Seconds that an API which does not answer is tried again; the environment's, or the default, if
            ``None``.

    Each raises ``ClusterUnavailableError`` past the patience, ``ClusterDeniedError`` where it may not be made,
    ``RunNotFoundError`` where there is no such object.
    """

    def __init__(self, patience: float | None) -> None:
        self._patience = _patience() if patience is None else patience
        self._ahead = timedelta()

    def json(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Reply:
        """The answer's JSON."""
        reply = self.raw(function, *arguments, _request_timeout=TIMEOUT, **options)
        if (told := _date(reply.headers.get("Date"))) is not None:
            self._ahead = told - datetime.now(UTC)
        return dict(json.loads(reply.data))

    def now(self) -> datetime:
        """The cluster's time, to which its objects' times belong, by its last answer; this machine's before any."""
        return datetime.now(UTC) + self._ahead

    def raw(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """The library's answer, which is not read yet."""
        attempts = Retrying(
            stop=stop_after_delay(self._patience),
            wait=_pause,
            retry=retry_if_exception(_passes),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return attempts(function, *arguments, _preload_content=False, **options)
        except ApiException as error:
            raise explained(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise ClusterUnavailableError(f"the cluster does not answer: {error}") from error

    def _tell(self, state: RetryCallState) -> None:
        """Say once in an outage that it is one, to whoever waits."""
        if state.attempt_number == TOLD_AFTER:
            error = state.outcome.exception() if state.outcome else None
            reason = error.reason if isinstance(error, ApiException) else type(error).__name__
            _LOG.warning("the cluster does not answer (%s); trying for up to %.0f s", reason, self._patience)


def _date(header: str | None) -> datetime | None:
    """What an answer's ``Date`` says (RFC 9110, 6.6.1)."""
    try:
        return parsedate_to_datetime(header).astimezone(UTC) if header else None
    except (ValueError, OverflowError):
        return None


def _patience() -> float:
    text = os.environ.get(PATIENCE_VARIABLE)
    try:
        return PATIENCE if text is None else float(text)
    except ValueError:
        raise UsageError(f"{PATIENCE_VARIABLE} is no number: {text!r}", hint="Give it seconds, such as 300.") from None


def _passes(error: BaseException) -> bool:
    """Whether a request can succeed when it is made again."""
    if isinstance(error, ApiException):
        return error.status in PASSING
    return isinstance(error, urllib3.exceptions.HTTPError)


_backoff: Final = wait_exponential(multiplier=0.2, max=5.0) + wait_random(0.0, 0.3)


def _pause(state: RetryCallState) -> float:
    """Seconds until the next attempt: what the server asks for, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.headers.get("Retry-After") if isinstance(error, ApiException) and error.headers else None
    return min(float(asked), 30.0) if asked and asked.isdigit() else _backoff(state)


def explained(error: ApiException) -> NbstepError:
    """What the cluster answered, as an error of ours."""
    message = _message(error)
    match error.status:
        case 404:
            return RunNotFoundError(f"the cluster knows no such thing: {message}")
        case 401 | 403:
            return ClusterDeniedError(f"the cluster refuses: {message}")
        case 409:
            return OutputConflictError(message)
        case 400 | 422:
            return BadInputError(f"the cluster does not accept it: {message}")
        case status:
            return ClusterUnavailableError(f"the cluster answers {status}: {message}")


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason or error.body or error.status)
