"""What a run's log says about how the run stands; no drawing.

The log's lines are those that ``docs/logging.md`` describes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from nbstep.views.log_lines import LogLine, parse

_MAX_PENDING = 4096
_MAX_TITLE = 72


class LineKind(Enum):
    """How a line is to be drawn."""

    HEADING = auto()
    PRINTED = auto()
    PRINTED_STDERR = auto()
    ERROR_OUTPUT = auto()
    SUCCEEDED = auto()
    FAILED = auto()
    PASSED_OVER = auto()
    NOTICE = auto()
    WARNING = auto()
    PLACE = auto()


@dataclass(frozen=True, slots=True)
class Shown:
    """A line for good.

    Attributes:
        seconds: Of a cell that has ended.
        link: Where a click on the text leads, a URL.
    """

    kind: LineKind
    text: str
    seconds: float | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class RunningCell:
    """The cell under way; ``since`` by the clock of whoever applies the lines."""

    index: int
    title: str
    since: float


@dataclass(slots=True)
class _Pending:
    """A line that may still change."""

    text: str
    progress: bool


@dataclass(slots=True)
class RunProgress:
    """How a run stands after the lines applied so far.

    Attributes:
        since: When the run started.
        ended_cells: Code cells that need not be waited for any more.
        verdict: The last ``run-finished`` line.
        failed: The ``cell-finished`` line of the last cell that failed.
    """

    since: float
    code_cells: int = 0
    ended_cells: int = 0
    running: RunningCell | None = None
    verdict: LogLine | None = None
    failed: LogLine | None = None
    tracebacks: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _titles: dict[int, str] = field(default_factory=dict)
    _headed: int | None = None
    _pending: dict[tuple[int | None, str | None], _Pending] = field(default_factory=dict)

    @property
    def pending(self) -> list[str]:
        """Begun lines and progress bars in their newest state."""
        return [line.text for line in self._pending.values()]

    def apply(self, data: bytes, now: float) -> Iterator[Shown]:
        """Take one line of the log; the lines to show for good."""
        line = parse(data)
        match line.event:
            case None:
                yield from self._printed(line)
            case "run-started":
                self.code_cells = line.code_cells
            case "cell-started" if line.cell is not None:
                self.running = RunningCell(line.cell, line.title, now)
                self._titles[line.cell] = shortened(line.title)
            case "cell-finished":
                yield from self._cell_finished(line)
            case "output":
                yield from self._output(line)
            case "run-finished":
                self.verdict = line
            case _:
                yield from _notice(line)

    def finish(self) -> Iterator[Shown]:
        """The lines that no end has come for."""
        for (index, _), pending in self._pending.items():
            yield from self._below_its_heading(index, Shown(LineKind.PRINTED, pending.text))
        self._pending.clear()

    def _below_its_heading(self, index: int | None, shown: Shown) -> Iterator[Shown]:
        """What a cell put out, below the cell's heading; a cell that others have followed meanwhile gets it again."""
        if index is not None and index != self._headed and index in self._titles:
            self._headed = index
            yield Shown(LineKind.HEADING, self._titles[index] or "…")
        yield shown

    def _printed(self, line: LogLine) -> Iterator[Shown]:
        source = (line.cell, line.stream)
        kind = LineKind.PRINTED_STDERR if line.stream == "stderr" else LineKind.PRINTED
        before = self._pending.pop(source, None)
        text = line.message
        if before and line.continues:
            text = before.text + text
        elif before and not before.progress:
            yield from self._below_its_heading(source[0], Shown(kind, before.text))
        if (line.partial or line.progress) and len(text) < _MAX_PENDING:
            self._pending[source] = _Pending(text, line.progress)
        else:
            yield from self._below_its_heading(source[0], Shown(kind, text))

    def _output(self, line: LogLine) -> Iterator[Shown]:
        if line.cell is not None and line.traceback:
            self.tracebacks[line.cell] = line.traceback
        kind = LineKind.ERROR_OUTPUT if line.severity == "ERROR" else LineKind.PRINTED
        for text in line.message.split("\n"):
            yield from self._below_its_heading(line.cell, Shown(kind, text))

    def _cell_finished(self, line: LogLine) -> Iterator[Shown]:
        yield from self.finish()
        self.ended_cells += 1
        if self.running and self.running.index == line.cell:
            self.running = None
        text = f"{numbered(line)} {shortened(line.title)}".rstrip()
        match line.state:
            case "succeeded":
                yield Shown(LineKind.SUCCEEDED, text, line.seconds)
            case "not_run" | "skipped":
                yield Shown(LineKind.PASSED_OVER, f"{text} ({line.state.replace('_', ' ')})")
            case _:
                self.failed = line
                yield Shown(LineKind.FAILED, f"{text} ({line.state.replace('_', ' ')})", line.seconds)


def numbered(line: LogLine) -> str:
    """A cell's number as Jupyter shows it: ``[3]``, or ``[ ]`` for a cell that has none."""
    return f"[{' ' if line.execution_count is None else line.execution_count}]"


def shortened(title: str) -> str:
    """A title in one line of a view."""
    return title if len(title) <= _MAX_TITLE else f"{title[: _MAX_TITLE - 1]}…"


def _notice(line: LogLine) -> Iterator[Shown]:
    if line.severity != "DEBUG":
        kind = LineKind.WARNING if line.severity in {"WARNING", "ERROR"} else LineKind.NOTICE
        yield from (Shown(kind, text) for text in line.message.split("\n"))
