"""When this process has to be done with storage: what a supervisor says, and what every retry heeds."""

from __future__ import annotations

import time
from threading import Condition
from typing import Final


class Ending:
    """A moment that can be set once it is known; what sleeps wakes when it changes.

    Attributes:
        at: By ``time.monotonic``.
    """

    def __init__(self) -> None:
        self.at = float("inf")
        self._changed = Condition()

    def set(self, at: float) -> None:
        """Move the moment."""
        with self._changed:
            self.at = at
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait, or until the moment moves."""
        with self._changed:
            before = self.at
            self._changed.wait_for(lambda: self.at != before, timeout=seconds)


ENDING: Final = Ending()
"""Of this process."""


def hurry(seconds: float) -> None:
    """End every store's retries in this process within some seconds from now; what waits for a retry tries at once.

    Not for signal handlers: it takes a lock.
    """
    ENDING.set(time.monotonic() + seconds)
