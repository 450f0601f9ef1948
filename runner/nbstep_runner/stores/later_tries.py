"""The tries after the first: exponential waits with full jitter, inside a total budget.

Apart from :mod:`nbstep_runner.stores.retrying`, because tenacity brings tornado where that is installed: most runs
never need it, and would wait for its import before their first request.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.stores.ending import ENDING
from nbstep_runner.stores.tries import TransientError, Try
from nbstep_runner.stores.uris import redact

_FIRST_WAIT: Final = 0.25
_LONGEST_WAIT: Final = 20.0

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is tried again.

    Attributes:
        doing: For the log and for errors.
        started: When its first try began, by ``time.monotonic``.
        seconds: Its budget from then on.
        on_retry: Gets a line, without secrets, before each retry.
    """

    doing: str
    started: float
    seconds: float
    on_retry: Callable[[str], None] | None

    def after(self, first: TransientError, once: Callable[[Try], _Result]) -> _Result:
        """What a later try returns, where the first one failed.

        Raises:
            StorageUnavailableError: The budget was spent.
        """
        policy = self._policy()
        try:
            for attempt in policy:
                with attempt:
                    number = attempt.retry_state.attempt_number
                    if number == 1:
                        raise first
                    return once(Try(number, self._deadline))
        except TransientError as error:
            raise self._spent(error, policy.statistics.get("attempt_number", 1)) from error
        raise AssertionError  # Retrying either returns or raises

    @property
    def _deadline(self) -> float:
        return self.started + self.seconds

    def _policy(self) -> Retrying:
        jitter = wait_random_exponential(multiplier=_FIRST_WAIT, max=min(_LONGEST_WAIT, self.seconds / 4))
        return Retrying(
            retry=retry_if_exception_type(TransientError),
            wait=lambda state: max(_asked(state), jitter(state)),
            stop=lambda state: time.monotonic() + state.upcoming_sleep > min(self._deadline, ENDING.at),
            sleep=ENDING.sleep,
            before_sleep=self._say,
            reraise=True,
        )

    def _say(self, state: RetryCallState) -> None:
        if self.on_retry is None:
            return
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        self.on_retry(redact(f"{self.doing}: {error}; trying again in {wait:.1f} s (try {state.attempt_number + 1})"))

    def _spent(self, error: TransientError, tries: int) -> StorageUnavailableError:
        times = "once" if tries == 1 else f"{tries} times"
        operation = self.doing[:1].upper() + self.doing[1:]
        seconds = time.monotonic() - self.started
        message = f"{operation} failed: {error.reason} (tried {times} in {seconds:.0f} s)."
        return StorageUnavailableError(redact(message), context=redact(self.doing))


def _asked(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after if isinstance(error, TransientError) else 0.0
