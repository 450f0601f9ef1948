"""Runs side by side: a line for each parameter and result, and for state and time."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbstep.views.text import visible_line
from nbstep_runner.contract import RunResult
from nbstep_runner.page import shown

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Line:
    """One thing, of each run.

    Attributes:
        values: One of each run, in their order; ``None`` where a run does not have it.
    """

    name: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        """Whether the runs do not agree; ``1`` and ``True`` are not the same."""
        return any(value != self.values[0] or type(value) is not type(self.values[0]) for value in self.values)

    @property
    def texts(self) -> tuple[str, ...]:
        """The values for people."""
        return tuple("" if value is None else visible_line(shown(value)) for value in self.values)


def compared(records: Sequence[RunResult]) -> list[Line]:
    """The runs' ids first, then state, seconds, parameters and results, each by its name."""
    return [
        Line("run", tuple(record.run_id for record in records)),
        Line("state", tuple(str(record.state) for record in records)),
        Line("seconds", tuple(record.seconds for record in records)),
        *_lines("parameters", records, lambda record: record.parameters),
        *_lines("results", records, lambda record: record.results),
    ]


def comparison_table(lines: Sequence[Line]) -> Table:
    """The same for a terminal, a column a run: what is too wide goes on below, and what differs stands out."""
    from rich.table import Table
    from rich.text import Text

    head, *rest = lines
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for run in head.texts:
        table.add_column(Text(run), overflow="fold")
    for line in rest:
        style = "bold" if line.differs else "dim"
        table.add_row("*" if line.differs else "", *(Text(text, style=style) for text in (line.name, *line.texts)))
    return table


def csv_of(lines: Sequence[Line]) -> str:
    """The same as CSV, a column a run."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([line.name, *line.texts] for line in lines)
    return text.getvalue()


def _lines(group: str, records: Sequence[RunResult], of: Callable[[RunResult], Mapping[str, Any]]) -> list[Line]:
    names = dict.fromkeys(name for record in records for name in of(record))
    return [Line(f"{group}.{name}", tuple(of(record).get(name) for record in records)) for name in names]
