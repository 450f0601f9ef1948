"""Runs side by side: a line for each thing that they were given, took or found."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbstep.views.text import visible_line
from nbstep_runner.contract import RunResult
from nbstep_runner.page import shown


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


def csv_of(lines: Sequence[Line]) -> str:
    """The same as CSV, a column a run."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([line.name, *line.texts] for line in lines)
    return text.getvalue()


def _lines(group: str, records: Sequence[RunResult], of: Callable[[RunResult], Mapping[str, Any]]) -> list[Line]:
    names = dict.fromkeys(name for record in records for name in of(record))
    return [Line(f"{group}.{name}", tuple(of(record).get(name) for record in records)) for name in names]
