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


def run_list(records: Sequence[RunResult], width: int, now: datetime) -> Table:
    """Runs in their order.

    Args:
        records: Of the runs.
        width: Columns of the terminal: from 100 on the start is shown, from 120 on parameters too.
        now: For the time of runs that have not ended.
    """
    heads = ["RUN", "STATE", *(["STARTED"] if width >= _WIDE else []), "TIME"]
    rows = [_fixed(record, now, started=width >= _WIDE) for record in records]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head, column in zip(heads, zip(*rows, strict=True) if rows else [()] * len(heads), strict=True):
        table.add_column(head, no_wrap=True, min_width=max(map(len, (head, *column))))
    if width >= _WIDER:
        table.add_column("PARAMETERS", overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column("RESULTS", overflow="ellipsis", no_wrap=True, ratio=1)
    for record, fixed in zip(records, rows, strict=True):
        parameters = [Text(_values(record.parameters))] if width >= _WIDER else []
        cells = [
            Text(text, style=STYLES.get(record.state, "red") if column == 1 else "")
            for column, text in enumerate(fixed)
        ]
        table.add_row(*cells, *parameters, _last(record))
    return table


def _fixed(record: RunResult, now: datetime, *, started: bool) -> tuple[str, ...]:
    """What is shown whole at any width."""
    begun = (record.started_at[:16].replace("T", " "),) if started else ()
    return (visible_line(record.run_id), str(record.state), *begun, _time(record, now))


def _time(record: RunResult, now: datetime) -> str:
    if record.seconds is not None:
        return duration(record.seconds, 1)
    if record.state is not RunState.RUNNING or not record.started_at:
        return ""
    progress = record.progress
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
