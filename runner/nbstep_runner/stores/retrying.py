"""The one retry policy of every remote store: exponential waits with full jitter, inside a total budget.

A backend says of each failure whether another try may succeed, by translating it to :class:`TransientError` or to the
error that the user sees. A process that has to end soon says so with :func:`nbstep_runner.stores.hurry`: waits end,
and no operation starts a try that it has no time for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from nbstep_runner.errors import NbstepError
from nbstep_runner.stores.tries import TransientError, Try

_Result = TypeVar("_Result")


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
        started, budget = time.monotonic(), self._seconds if seconds is None else seconds
        once = partial(self._once, doing, action, recover)
        try:
            return once(Try(1, started + budget))
        except TransientError as error:
            from nbstep_runner.stores.later_tries import Operation

            operation = Operation(doing=doing, started=started, seconds=budget, on_retry=self._on_retry)
            return operation.after(error, once)

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
