"""Whole lines out of text that comes in pieces; of what is written over and over, few of its states."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from nbstep_runner.contract.events import StreamText
from nbstep_runner.sinks.records import Record
from nbstep_runner.sinks.text import without_styles

MAX_LINE = 32 * 1024
"""Characters of a line; a longer one is split. At most 4 bytes each in UTF-8 or 7 as an escape, that is below the
256 KiB that Cloud Logging takes as one entry."""

PARTIAL_WAIT = 0.07
"""Seconds that the start of a line waits for its end: with what the kernel and we take, less than 100 ms in all."""

PROGRESS_INTERVAL = 1.0
"""Seconds between two states shown of a line that is overwritten."""

_NEXT_BAR = re.compile(r"(?<!\x1b\[A)(?:\x1b\[A)+\n+\r")
"""Up and down again: how tqdm goes from one nested bar to the next. A try begins only where a run of them begins."""

_BLANK = " \t\b\r"
Shown = tuple[StreamText | Record, float]
"""Something to show, and when it came, in seconds since the epoch."""

_MOST_HELD = 2**20


class Source(NamedTuple):
    """Who printed: the cell, by position and id, and its ``stdout`` or ``stderr``."""

    cell: tuple[int, str | None]
    stream: str


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one stream, without the last newline.

    Attributes:
        partial: The line had not ended: the block is one line, and the next one of the stream may continue it.
        continues: The line goes on where a partial one stopped.
        progress: A state of a line that is being overwritten; the next line of the stream replaces it.
    """

    text: str
    partial: bool = False
    continues: bool = False
    progress: bool = False


class LineAssembler:
    """Makes lines of what one stream of one cell prints.

    What is fed comes out at its newline. A start of a line comes out after ``PARTIAL_WAIT``, and a line that carriage
    returns overwrite shows its newest state each ``PROGRESS_INTERVAL`` and at its end. Times are seconds of a
    monotonic clock.
    """

    def __init__(self) -> None:
        self._open = ""
        self._since: float | None = None
        self._continues = False
        self._state_shown: str | None = None
        self._progress_at = float("-inf")

    @property
    def due(self) -> float | None:
        """When ``tick`` has something to give; ``None`` while nothing waits."""
        if self._since is None:
            return None
        due = self._since + PARTIAL_WAIT
        return max(due, self._progress_at + PROGRESS_INTERVAL) if "\r" in self._open else due

    def feed(self, text: str, now: float) -> Iterator[Block]:
        """The lines that the text completes; worked off in slices, so that a huge text costs no second copy."""
        for start in range(0, len(text), MAX_LINE):
            yield from self._feed(text[start : start + MAX_LINE], now)

    @property
    def idle(self) -> bool:
        """Whether no line is begun."""
        return not self._open and not self._continues

    def tick(self, now: float) -> Iterator[Block]:
        """What has waited long enough."""
        if self.due is not None and self.due <= now:
            yield from self.show(now)

    def show(self, now: float) -> Iterator[Block]:
        """What waits, at once: something else is about to be shown after it."""
        if self._since is not None:
            self._since = None
            yield from self._show_progress(now) if "\r" in self._open else self._show_partial()

    def finish(self) -> Iterator[Block]:
        """What is left when no more text will come."""
        if self._open:
            yield from self._end_line(self._open)
        self._open, self._since, self._continues = "", None, False

    def _feed(self, text: str, now: float) -> Iterator[Block]:
        begun = bool(self._open) or self._continues
        lines, newline, self._open = _one_kind_of_newline(self._open + text).rpartition("\n")
        if newline:
            self._since = None
            if begun:
                first, newline, lines = lines.partition("\n")
                yield from self._end_line(first)
            if newline:
                yield Block("\n".join(map(_newest_state, lines.split("\n"))) if "\r" in lines else lines)
        if self._open:
            yield from self._hold(now)

    def _end_line(self, line: str) -> Iterator[Block]:
        if "\r" in line:
            yield Block(_newest_state(line))  # shown before or not: it replaces what was shown as progress
        elif line or not self._continues:
            rest = yield from self._split(line)
            yield Block(rest, continues=self._continues)
        self._continues, self._state_shown = False, None

    def _hold(self, now: float) -> Iterator[Block]:
        if self._since is None:
            self._since = now
        if "\r" in self._open:
            overwritten = "\r" if self._open.endswith("\r") else ""
            self._open = f"\r{_newest_state(self._open)}{overwritten}"
        if len(self._open) > MAX_LINE:
            self._open = yield from self._split(self._open.replace("\r", ""))

    def _split(self, line: str) -> Generator[Block, None, str]:
        while len(line) > MAX_LINE:
            yield Block(line[:MAX_LINE], partial=True, continues=self._continues)
            self._continues, line = True, line[MAX_LINE:]
        return line

    def _show_partial(self) -> Iterator[Block]:
        yield Block(self._open, partial=True, continues=self._continues)
        self._open, self._continues = "", True

    def _show_progress(self, now: float) -> Iterator[Block]:
        state = _newest_state(self._open)
        if state and state != self._state_shown:
            yield Block(state, progress=True)
            self._state_shown, self._progress_at = state, now


def _one_kind_of_newline(text: str) -> str:
    if "\r" not in text:
        return text
    if "\x1b[A" in text:
        text = _NEXT_BAR.sub("\r", text)
    return text.replace("\r\n", "\n")


def _newest_state(line: str) -> str:
    """What a line shows after its carriage returns: the last text that is not blank."""
    if "\r" not in line:
        return line
    line = line.rstrip(_BLANK)
    newest = line[line.rfind("\r") + 1 :]
    if without_styles(newest).strip(_BLANK):
        return newest
    states = (state for state in reversed(line.split("\r")) if without_styles(state).strip(_BLANK))
    return next(states, "").rstrip(_BLANK)


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
