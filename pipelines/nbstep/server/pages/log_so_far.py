"""A run's log as a page begins with it: its last lines, how the cells stand by it, and from where a stream goes on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from nbstep.runs.run import Run
from nbstep.server.following import number_of
from nbstep.server.spool import Number
from nbstep.views.log_lines import LogLine, for_people
from nbstep.views.text import visible
from nbstep_runner.contract import CellState, Severity
from nbstep_runner.page import cut

LINES: Final = 200
"""Of a log on a run's page; all of it is among the files."""
CELLS: Final = 10_000
SAID: Final = 3
"""How many lines of its output stand beside a cell."""
LONGEST: Final = 200
"""Characters of such a line."""
SEVERITIES: Final = tuple(map(str, Severity))
"""Of lines, the worst last."""


@dataclass(frozen=True, slots=True)
class Search:
    """Which lines of a log are looked for.

    Attributes:
        text: What they say, in whatever case.
        severity: They are at least as bad; the name of one, or empty.
    """

    text: str = ""
    severity: str = ""

    def __bool__(self) -> bool:
        return bool(self.text or self.severity)

    def finds(self, line: LogLine) -> bool:
        """Whether a line is one of them."""
        if _badness(line.severity) < _badness(self.severity):
            return False
        return not self.text or self.text.casefold() in for_people(line).casefold()


def _badness(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1


@dataclass(frozen=True, slots=True)
class CellSoFar:
    """A cell that has begun, as a log tells of it.

    Attributes:
        said: The last lines of its output.
        overwritten: The stream whose next line takes the place of the last of these, such as that of a progress bar.
    """

    index: int
    title: str
    state: str
    seconds: float | None = None
    said: tuple[str, ...] = ()
    overwritten: str = ""


@dataclass(frozen=True, slots=True)
class LogSoFar:
    """What there was of a log when it was read.

    Attributes:
        lines: The last ones that were looked for, for people.
        found: How many were.
        cells: Those of the newest attempt that have begun, in their order.
        last: The number of the last line; what comes after it is new.
    """

    lines: tuple[str, ...]
    found: int
    cells: tuple[CellSoFar, ...]
    last: Number | None


def read_log(run: Run, search: Search) -> LogSoFar:
    """The log of a run as far as it has come; only what a page shows is kept of it."""
    lines: deque[LogLine] = deque(maxlen=LINES)
    found = 0
    cells: dict[int, CellSoFar] = {}
    last: Number | None = None
    for line in run.lines():
        if search.finds(line):
            lines.append(line)
            found += 1
        number = number_of(line)
        if number is not None:
            if last is not None and number[0] > last[0]:
                cells = {}
            last = max(number, last or number)
        _note(cells, line)
    return LogSoFar(tuple(map(for_people, lines)), found, tuple(cells[index] for index in sorted(cells)), last)


def _note(cells: dict[int, CellSoFar], line: LogLine) -> None:
    """How a cell stands after a line about it."""
    if line.cell is None or (line.cell not in cells and len(cells) == CELLS):
        return
    cell = cells.get(line.cell, CellSoFar(line.cell, line.title, "running"))
    if line.event == "cell-started":
        cells[line.cell] = CellSoFar(line.cell, line.title, "running")
    elif line.event == "cell-finished" and line.state in set(CellState):
        cells[line.cell] = replace(cell, title=line.title, state=line.state, seconds=line.seconds)
    elif line.event == "output" or (line.event is None and line.stream is not None):
        overwritten = line.stream or "" if line.progress else ""
        cells[line.cell] = replace(cell, said=_said(cell, line), overwritten=overwritten)


def _said(cell: CellSoFar, line: LogLine) -> tuple[str, ...]:
    """The last lines of a cell's output after one more; of a traceback the last, which says what was raised."""
    text = visible(line.traceback[-1] if line.traceback else line.message)
    before = cell.said
    if before and (line.continues or (cell.overwritten and cell.overwritten == line.stream)):
        text, before = (before[-1] + text if line.continues else text), before[:-1]
    return (*before, cut(text, LONGEST))[-SAID:]
