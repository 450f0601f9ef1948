"""A list of runs for a terminal, with as many columns as its width has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from nbstep.views.text import visible_line
from nbstep_runner.contract import RunResult, RunState, moment_of
from nbstep_runner.page import cut, duration, shown

STYLES: Final = {
    RunState.SUCCEEDED: "green",
    RunState.RUNNING: "blue",
    RunState.PENDING: "dim",
    RunState.CANCELLED: "yellow",
}
PLAIN_HEADS: Final = ("RUN", "STATE", "STARTED", "SECONDS", "CELLS", "PARAMETERS", "RESULTS", "ERROR")
_WIDE: Final = 100
_WIDER: Final = 120
_GAP: Final = 2
_LEAST_ID: Final = 16
_LEAST_VALUES: Final = 16
"""How narrow the ids of runs, which then go on in the next line, and a column of values may become."""


def run_list(records: Sequence[RunResult], width: int, now: datetime) -> Table:
    """Runs in their order.

    Args:
        records: Of the runs.
        width: Columns of the terminal: from 100 on the start is shown and from 120 on parameters are, where long ids
            leave room for them. How many cells of a run have ended is shown where there is room for that too.
        now: For the time of runs that have not ended.
    """
    ids = [visible_line(record.run_id) for record in records]
    longest = max(map(len, ("RUN", *ids)))
    fixed = _fixed(records, now, width - longest - _LEAST_VALUES - 2 * _GAP, started=width >= _WIDE)
    left = width - _width(fixed) - 2 * _GAP
    with_parameters = width >= _WIDER and left - longest >= 2 * _LEAST_VALUES + _GAP
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold", expand=True)
    table.add_column("RUN", overflow="fold", width=min(longest, max(_LEAST_ID, left - _LEAST_VALUES)))
    for head, column in fixed.items():
        table.add_column(head, no_wrap=True, width=max(map(len, (head, *column))))
    for head in (*(["PARAMETERS"] if with_parameters else []), "RESULTS"):
        table.add_column(head, overflow="ellipsis", no_wrap=True, ratio=1)
    for record, run_id, state, *others in zip(records, ids, *fixed.values(), strict=True):
        cells = (Text(run_id), Text(state, STYLES.get(record.state, "red")), *map(Text, others))
        parameters = [Text(_values(record.parameters))] if with_parameters else []
        table.add_row(*cells, *parameters, _last(record))
    return table


def _fixed(records: Sequence[RunResult], now: datetime, room: int, *, started: bool) -> dict[str, list[str]]:
    """The columns whose texts are shown whole, by their heads: as many as there is room for, the first in any case."""
    state = {"STATE": [str(record.state) for record in records]}
    begun = {"STARTED": [record.started_at[:16].replace("T", " ") for record in records]}
    time, counted = ({"TIME": [_time(record, now, count=count) for record in records]} for count in (False, True))
    for columns in (*([state | begun | counted] if started else []), state | counted):
        if _width(columns) <= room:
            return columns
    return state | time


def _width(columns: Mapping[str, Sequence[str]]) -> int:
    return sum(max(map(len, (head, *column))) for head, column in columns.items()) + _GAP * (len(columns) - 1)


def _time(record: RunResult, now: datetime, *, count: bool) -> str:
    """What a run took, or has taken so far, and then how many of its cells have ended if these are to be counted."""
    if record.seconds is not None:
        return duration(record.seconds, 1)
    if record.state is not RunState.RUNNING or not record.started_at:
        return ""
    progress = record.progress if count else None
    cells = f", {progress.ended} of {progress.cells} cells" if progress else ""
    return f"{duration(seconds_of(record, now) or 0)}{cells}"


def seconds_of(record: RunResult, now: datetime) -> float | None:
    """What a run took, or has taken so far; ``None`` where that is unknown."""
    if record.seconds is not None or record.state is not RunState.RUNNING:
        return record.seconds
    started = moment_of(record.started_at)
    return None if started is None else max(0.0, (now - started).total_seconds())


def plain_row(record: RunResult, now: datetime) -> tuple[str, ...]:
    """A run under :data:`PLAIN_HEADS`."""
    seconds = seconds_of(record, now)
    progress = record.progress
    return (
        record.run_id,
        str(record.state),
        record.started_at[:19].replace("T", " "),
        "" if seconds is None else f"{seconds:.1f}",
        f"{progress.ended}/{progress.cells}" if progress else "",
        _values(record.parameters),
        _values(record.results),
        record.error.message[:80] if record.error else "",
    )


def _last(record: RunResult) -> Text:
    """Why it failed, or what it found."""
    if record.error is not None:
        return Text(visible_line(cut(record.error.message, 120)), style="red")
    return Text(_values(record.results))


def _values(values: Mapping[str, Any]) -> str:
    return visible_line(", ".join(f"{name}={cut(shown(value), 40)}" for name, value in values.items()))
