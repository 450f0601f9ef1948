"""The one retry policy of every remote store: exponential waits with full jitter, inside a total budget.

A backend says of each failure whether another try may succeed, by translating it to :class:`TransientError` or to the
error that the user sees. A process that has to end soon says so with :func:`hurry`: waits end, and no operation starts
a try that it has no time for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nbstep_runner.errors import BadInputError, NbstepError, OutputConflictError, StorageUnavailableError
from nbstep_runner.stores.uris import redact

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying

IDLE_SECONDS: Final = 30.0
"""A transfer that moves no byte for this long has stalled."""
_FIRST_IDLE: Final = 5.0
_SHORTEST_IDLE: Final = 1.0
_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 20.0
_REFUSED_TRIES: Final = 3
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


class RefusedError(BadInputError):
    """The store did not accept a write as it arrived: it was damaged on its way, or met another's; else it is final."""


class _Deadline:
    """When this process has to be done with storage, by ``time.monotonic``; what sleeps wakes when that changes."""

    def __init__(self) -> None:
        self.at = float("inf")
        self._changed = Condition()

    def set(self, at: float) -> None:
        with self._changed:
            self.at = at
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        with self._changed:
            before = self.at
            self._changed.wait_for(lambda: self.at != before, timeout=seconds)


_DEADLINE: Final = _Deadline()


def hurry(seconds: float) -> None:
    """End every store's retries in this process within some seconds from now; what waits for a retry tries at once.

    Not for signal handlers: it takes a lock.
    """
    _DEADLINE.set(time.monotonic() + seconds)


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
        return max(0.0, min(self.deadline, _DEADLINE.at) - time.monotonic())

    @property
    def idle(self) -> float:
        """How long this try may wait for the next byte: another try has to fit into the budget after it.

        The first try gets some time even where the budget is none: no retries does not mean no patience.
        """
        hurried = _DEADLINE.at < float("inf")
        later = max(_SHORTEST_IDLE, min(IDLE_SECONDS, self.left / 2))
        return later if hurried or self.number > 1 else idle_within(self.left)


def idle_within(seconds: float) -> float:
    """The idle timeout of a first try that leaves time for another."""
    return max(_FIRST_IDLE, min(IDLE_SECONDS, seconds / 2))


def seconds_asked(retry_after: str | None) -> float:
    """The wait that a ``Retry-After`` header (RFC 9110, 10.2.3) asks for; 0 where it names a date or nothing."""
    return float(retry_after) if retry_after and retry_after.strip().isdecimal() else 0.0


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
        self._translate = translate
        self._on_retry = on_retry

    def call(
        self, operation: str, uri: str, action: Callable[[Try], _Result], *, seconds: float | None = None
    ) -> _Result:
        """What the action returns, retried while it fails in a way that may pass.

        Args:
            operation: Such as ``reading``, for the log and for errors.
            uri: What it is done to; its secrets are hidden.
            action: Gets the try, and does one.
            seconds: Another budget than the store's.

        Raises:
            StorageUnavailableError: The budget was spent.
        """
        doing = f"{operation} {redact(uri)}"
        started = time.monotonic()
        deadline = started + (self._seconds if seconds is None else seconds)

        def once(attempt: Try) -> _Result:
            try:
                return action(attempt)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is translated and raised
                meaning = self._meaning(error, doing)
                raise meaning from (None if meaning is error else error)

        try:
            return once(Try(1, deadline))
        except TransientError as error:
            return self._later(doing, error, once, Try(1, deadline), started)

    def write(self, uri: str, send: Callable[[Try], str], find: Callable[[], str | None]) -> str:
        """The version of what was written, retried; a try whose answer was lost is found to have succeeded.

        Args:
            uri: The object.
            send: Gets the try, and does one.
            find: The version of what is in place, if it holds what is being written.
        """

        def once(attempt: Try) -> str:
            try:
                return send(attempt)
            except Exception as error:  # noqa: BLE001 - as in call
                meaning = self._meaning(error, f"writing {redact(uri)}")
                if isinstance(meaning, OutputConflictError) and attempt.number > 1:
                    with suppress(NbstepError):
                        if found := find():
                            return found
                if isinstance(meaning, RefusedError) and attempt.number < _REFUSED_TRIES:
                    meaning = TransientError(meaning.message.rstrip("."))
                raise meaning from (None if meaning is error else error)

        return self.call("writing", uri, once)

    def _meaning(self, error: Exception, doing: str) -> Exception:
        return error if isinstance(error, NbstepError | TransientError) else self._translate(error, doing)

    def _later(
        self, doing: str, first: TransientError, once: Callable[[Try], _Result], attempt: Try, started: float
    ) -> _Result:
        """What a later try returns, where the first one failed."""
        policy = self._policy(doing, attempt.deadline, started)
        try:
            for turn in policy:
                with turn:
                    number = turn.retry_state.attempt_number
                    if number == 1:
                        raise first
                    return once(Try(number, attempt.deadline))
        except TransientError as error:
            tries = policy.statistics.get("attempt_number", 1)
            times = "once" if tries == 1 else f"{tries} times"
            operation, seconds = doing[:1].upper() + doing[1:], time.monotonic() - started
            message = f"{operation} failed: {error.reason} (tried {times} in {seconds:.0f} s)."
            raise StorageUnavailableError(redact(message), context=redact(doing)) from error
        raise AssertionError  # Retrying either returns or raises

    def _policy(self, doing: str, deadline: float, started: float) -> Retrying:
        # Imported here because tenacity brings tornado where that is installed, and most runs never retry.
        from tenacity import Retrying, retry_if_exception_type, wait_random_exponential

        def say(state: RetryCallState) -> None:
            wait = state.next_action.sleep if state.next_action else 0.0
            again = f"trying again in {wait:.1f} s (try {state.attempt_number + 1})"
            if self._on_retry:
                self._on_retry(redact(f"{doing}: {_failure(state)}; {again}"))

        longest = min(_LONGEST_WAIT, (deadline - started) / 4)
        jitter = wait_random_exponential(multiplier=_FIRST_WAIT, max=longest)
        return Retrying(
            retry=retry_if_exception_type(TransientError),
            wait=lambda state: max(_failure(state).retry_after, jitter(state)),
            stop=lambda state: time.monotonic() + state.upcoming_sleep > min(deadline, _DEADLINE.at),
            sleep=_DEADLINE.sleep,
            before_sleep=say,
            reraise=True,
        )


def _failure(state: RetryCallState) -> Any:
    """The :class:`TransientError` that the try before ended with; tenacity types it as any exception."""
    return state.outcome.exception() if state.outcome else None
