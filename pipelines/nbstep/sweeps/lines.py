"""A sweep as plain text: a line a run, and the cells of its table."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nbstep.sweeps.outcome import Sweep, SweepRun, columns
from nbstep.views.text import visible_line

LONGEST_CELL: Final = 60


def line_of(run: SweepRun) -> str:
    """A run that has ended, in a line; of one that did not succeed with what went wrong, and where its notebook is."""
    took = f" in {_duration(run)}" if _duration(run) else ""
    return visible_line(f"{run.name}: {run.state}{took}" + (f": {run.error} ({run.output_uri})" if run.error else ""))


def _duration(run: SweepRun) -> str:
    seconds = run.result.seconds if run.result else None
    return "" if seconds is None else f"{seconds:.2f} s"


def cells(run: SweepRun, parameters: list[str], results: list[str]) -> tuple[list[str], str, str, list[str]]:
    """A run's cells: parameters, state, time, results. What a run does not have is empty."""
    found = run.result.results if run.result else {}
    return (
        [shown(run.parameters, name) for name in parameters],
        str(run.state),
        _duration(run),
        [shown(found, name) for name in results],
    )


def shown(values: dict[str, Any], name: str) -> str:
    """A value for people; an empty text where there is none."""
    if name not in values:
        return ""
    value = values[name]
    text = str(value) if isinstance(value, str | float) else msgspec.json.encode(value).decode()
    return visible_line(text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…")


def plain_rows(sweep: Sweep) -> tuple[list[str], list[list[str]]]:
    """The heads and the rows of the table."""
    parameters, results = columns(sweep.runs)
    rows = [cells(run, parameters, results) for run in sweep.runs]
    heads = [visible_line(name) for name in (*parameters, "state", "time", *results)]
    return heads, [[*given, state, seconds, *found] for given, state, seconds, found in rows]
