"""The one retry policy of every remote store: exponential waits with full jitter, inside a total budget.

A backend says of each failure whether another try may succeed, by translating it to :class:`TransientError` or to the
error that the user sees. A process that has to end soon says so with :func:`nbstep_runner.stores.hurry`: waits end,
and no operation starts a try that it has no time for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from nbstep_runner.errors import NbstepError, StorageUnavailableError
from nbstep_runner.stores.ending import ENDING
from nbstep_runner.stores.uris import redact

IDLE_SECONDS: Final = 30.0
"""A transfer that moves no byte for this long has stalled."""
_FIRST_IDLE: Final = 5.0
_SHORTEST_IDLE: Final = 1.0
_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 20.0

_Result = TypeVar("_Result")


class TransientError(Exception):
    """A failure that another try may not have.

    Args:
        reason: What went wrong, in a few words.
        retry_after: The seconds that the server asked to be left alone for.
    """

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Try:
    """One try of an operation.

    Attributes:
        number: From 1. In a later try the first may have succeeded with its answer lost.
        deadline: When the budget ends, by ``time.monotonic``.
    """

    number: int
    deadline: float

    @property
    def left(self) -> float:
        """The seconds of the budget that are left; never negative."""
        return max(0.0, min(self.deadline, ENDING.at) - time.monotonic())

    @property
    def idle(self) -> float:
        """How long this try may wait for the next byte: another try has to fit into the budget after it.

        The first try gets some time even where the budget is none: no retries does not mean no patience.
        """
        hurried = ENDING.at < float("inf")
        later = max(_SHORTEST_IDLE, min(IDLE_SECONDS, self.left / 2))
        return later if hurried or self.number > 1 else idle_within(self.left)


def idle_within(seconds: float) -> float:
    """The idle timeout of a first try that leaves time for another."""
    return max(_FIRST_IDLE, min(IDLE_SECONDS, seconds / 2))


class Retrier:
    """Runs operations of one store under the policy.

    Args:
        seconds: The budget of one operation for all its tries and waits.
        translate: Turns a client library's exception into a :class:`TransientError` or the error that users see.
        on_retry: Gets a line, without secrets, before each retry.
    """

    def __init__(
        self,
        seconds: float,
        translate: Callable[[Exception, str], Exception],
        on_retry: Callable[[str], None] | None = None,
    ) -> None:
        self._seconds = seconds
        self._jitter = wait_random_exponential(multiplier=_FIRST_WAIT, max=min(_LONGEST_WAIT, seconds / 4))
        self._translate = translate
        self._on_retry = on_retry

    def call(
        self,
        doing: str,
        action: Callable[[Try], _Result],
        *,
        recover: Callable[[Exception, Try], _Result] | None = None,
        seconds: float | None = None,
    ) -> _Result:
        """What the action returns, retried while it fails in a way that may pass.

        Args:
            doing: Such as ``reading gs://bucket/in.ipynb``; for the log and for errors.
            action: Gets the try, and does one.
            recover: Gets a failed try's error; returns what an earlier try achieved, if it did and only its answer was
                lost, and raises otherwise.
            seconds: Another budget than the store's.

        Raises:
            StorageUnavailableError: The budget was spent.
        """
        started = time.monotonic()
        deadline = started + (self._seconds if seconds is None else seconds)
        policy = Retrying(
            retry=retry_if_exception_type(TransientError),
            wait=self._wait,
            stop=lambda state: time.monotonic() + state.upcoming_sleep > min(deadline, ENDING.at),
            sleep=ENDING.sleep,
            before_sleep=lambda state: self._say(doing, state),
            reraise=True,
        )
        try:
            for attempt in policy:
                with attempt:
                    return self._once(doing, action, recover, Try(attempt.retry_state.attempt_number, deadline))
        except TransientError as error:
            tries = policy.statistics.get("attempt_number", 1)
            raise _spent(doing, error, tries, time.monotonic() - started) from error
        raise AssertionError  # Retrying either returns or raises

    def _once(
        self,
        doing: str,
        action: Callable[[Try], _Result],
        recover: Callable[[Exception, Try], _Result] | None,
        attempt: Try,
    ) -> _Result:
        try:
            return action(attempt)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is translated and raised, or recovered from
            meaning = error if isinstance(error, NbstepError | TransientError) else self._translate(error, doing)
            if recover:
                return recover(meaning, attempt)
            raise meaning from (None if meaning is error else error)

    def _say(self, doing: str, state: RetryCallState) -> None:
        if self._on_retry is None:
            return
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        self._on_retry(redact(f"{doing}: {error}; trying again in {wait:.1f} s (try {state.attempt_number + 1})"))

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, TransientError) else 0.0
        return max(asked, self._jitter(state))


def _spent(doing: str, error: TransientError, tries: int, seconds: float) -> StorageUnavailableError:
    times = "once" if tries == 1 else f"{tries} times"
    operation = doing[:1].upper() + doing[1:]
    message = f"{operation} failed: {error.reason} (tried {times} in {seconds:.0f} s)."
    return StorageUnavailableError(redact(message), context=redact(doing))


def seconds_asked(retry_after: str | None) -> float:
    """The wait that a ``Retry-After`` header (RFC 9110, 10.2.3) asks for; 0 where it names a date or nothing."""
    return float(retry_after) if retry_after and retry_after.strip().isdecimal() else 0.0
