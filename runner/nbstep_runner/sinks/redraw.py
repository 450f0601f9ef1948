"""Output that is cleared and written anew, such as an animation or a progress bar: few of its states are shown."""

from __future__ import annotations

from nbstep_runner.contract.events import StreamText
from nbstep_runner.sinks.lines import PROGRESS_INTERVAL
from nbstep_runner.sinks.records import Record

Shown = tuple[StreamText | Record, float]
"""Something to show, and when it came, in seconds since the epoch."""

_MOST_HELD = 2**20


class Redrawn:
    """What comes between two times that an output is cleared is a state: one each ``PROGRESS_INTERVAL``, and the last.

    A state that comes too soon is held until the interval has passed, or until the next one takes its place. Times,
    but for those of items, are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._shown_at = float("-inf")
        self._held: list[Shown] = []
        self._size = 0
        self._holds = self._clears_on_next = False

    @property
    def due(self) -> float | None:
        """When what is held is to be shown."""
        return self._shown_at + PROGRESS_INTERVAL if self._held else None

    def clear(self, now: float, *, wait: bool) -> None:
        """The output is cleared: at once, or when more comes."""
        if wait:
            self._clears_on_next = True
            return
        self._clears_on_next = False
        self._held, self._size = [], 0
        self._holds = now < self._shown_at + PROGRESS_INTERVAL
        if not self._holds:
            self._shown_at = now

    def take(self, item: StreamText | Record, time: float, now: float) -> list[Shown]:
        """What is to be shown now that an item has come at ``time``."""
        if self._clears_on_next:
            self.clear(now, wait=False)
        if not self._holds:
            return [(item, time)]
        self._held.append((item, time))
        self._size += len(item.text) if isinstance(item, StreamText) else item.size
        return self.release(now) if self._size > _MOST_HELD else []

    def release(self, now: float) -> list[Shown]:
        """What is held; what follows until the next state is shown as it comes."""
        held, self._held, self._size = self._held, [], 0
        if held:
            self._shown_at, self._holds = now, False
        return held
