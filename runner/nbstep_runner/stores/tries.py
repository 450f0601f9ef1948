"""One try of an operation on a remote store: how long it may take, and what a failure says of the next."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from nbstep_runner.stores.ending import ENDING

IDLE_SECONDS: Final = 30.0
"""A transfer that moves no byte for this long has stalled."""
_FIRST_IDLE: Final = 5.0
_SHORTEST_IDLE: Final = 1.0


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


def seconds_asked(retry_after: str | None) -> float:
    """The wait that a ``Retry-After`` header (RFC 9110, 10.2.3) asks for; 0 where it names a date or nothing."""
    return float(retry_after) if retry_after and retry_after.strip().isdecimal() else 0.0
