"""A run's card in a notebook, kept up to date under one display id."""

from __future__ import annotations

import sys
import threading
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from nbstep.views.card import CardData, card
from nbstep.views.progress import RunProgress
from nbstep.views.status import RunStatus, reason
from nbstep_runner.contract import moment_of
from nbstep_runner.page import duration

SHORTEST_PAUSE: Final = 0.5
"""Seconds between two updates."""

_LINES: Final = 12
_CLOSING: Final = 5.0


class Card:
    """One run's place in a notebook's output, which shows the newest that was told of the run.

    What it is told may come from any thread. It is drawn at once the first time, then at most each
    :data:`SHORTEST_PAUSE`, and once more when the run has ended.
    """

    def __init__(self, run_id: str, *, handle: str, output_uri: str) -> None:
        self._data = CardData(run_id=run_id, handle=handle, output_uri=output_uri)
        self._progress = RunProgress(since=monotonic())
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._display: Any = None
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def show(self, look: RunStatus | Exception) -> None:
        """Show how the run stands, or why that cannot be known, and keep it up to date from now on."""
        from IPython import display

        library: Any = display  # its functions are not annotated
        self.tell(look)
        self._display = library.display(library.HTML(self.html()), display_id=True)
        if not self._ended:
            self._thread = threading.Thread(target=self._redraw, name="nbstep-card", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Draw what was told last, and be told no more."""
        self._closed = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join(_CLOSING)

    def tell(self, look: RunStatus | Exception) -> None:
        """Note how the run stands, or why that cannot be known."""
        with self._lock:
            if isinstance(look, RunStatus):
                self._data = replace(self._data, status=look, problem="")
            else:
                self._data = replace(self._data, problem=reason(look))
        self._changed.set()

    def hear(self, line: bytes) -> None:
        """Note a line of the run's log."""
        with self._lock:
            self._lines.extend(shown.text for shown in self._progress.apply(line, monotonic()))
        self._changed.set()

    def expect(self, seconds: float) -> None:
        """Note how long the run took the last time."""
        with self._lock:
            self._data = replace(self._data, expected=seconds)
        self._changed.set()

    def html(self) -> str:
        """The card as it stands now."""
        with self._lock:
            progress = self._progress
            data = replace(
                self._data,
                running=progress.running,
                done=progress.ended_cells,
                cells=progress.code_cells,
                elapsed=_since(self._data.status),
                lines=tuple(self._lines),
            )
        return card(data)

    @property
    def _ended(self) -> bool:
        status = self._data.status
        return self._closed or (status is not None and status.state.final)

    def _redraw(self) -> None:
        from IPython import display

        library: Any = display
        pause = threading.Event()
        while not self._ended:
            self._changed.wait(timeout=2 * SHORTEST_PAUSE)  # the time passes even where nothing happens
            self._changed.clear()
            self._display.update(library.HTML(self.html()))
            pause.wait(SHORTEST_PAUSE)
        self._display.update(library.HTML(self.html()))


class Bar:
    """How far many runs are, in a notebook's output; it says what it knows at most each :data:`SHORTEST_PAUSE`."""

    def __init__(self, count: int) -> None:
        from IPython import display

        self._library: Any = display
        self._count = count
        self._ended = self._failed = 0
        self._since = self._drawn = monotonic()
        self._display = self._library.display(self._library.HTML(self._html()), display_id=True)

    def ended(self, *, failed: bool) -> None:
        """Count a run that has ended."""
        self._ended += 1
        self._failed += failed
        now = monotonic()
        if now - self._drawn >= SHORTEST_PAUSE or self._ended == self._count:
            self._drawn = now
            self._display.update(self._library.HTML(self._html()))

    def _html(self) -> str:
        words = f"{self._ended} of {self._count} runs"
        trouble = f", {self._failed} failed" if self._failed else ""
        bar = f'<progress value="{self._ended}" max="{self._count}" aria-label="{words}"></progress>'
        return f"<p>{bar} {words}{trouble}, {duration(monotonic() - self._since)}</p>"


def in_jupyter() -> bool:
    """Whether this process is the kernel of a notebook, which shows what is displayed."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    shell: Any = get_ipython()
    return getattr(shell, "kernel", None) is not None


def _since(status: RunStatus | None) -> float | None:
    """Seconds since the run's start, by the clock of the machine that wrote its record."""
    started = moment_of(status.record.started_at) if status and status.record else None
    return max(0.0, (datetime.now(UTC) - started).total_seconds()) if started else None
