"""What a list tells of a run, as its record tells it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from nbstep_runner.contract import Progress, RunResult, RunState
from nbstep_runner.nonfinite import written

VALUES_BYTES: Final = 2**16
"""How much a list tells of one run's values."""


class ProblemOfRun(msgspec.Struct, frozen=True):
    """Why a run failed."""

    reference: str
    message: str
    hint: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a list, as its record tells it.

    Attributes:
        id: The name of its folder, by which it is found; what a record says of itself is no name.
        results: Values that the notebook reported; numbers that JSON cannot write stand as in records.
        whole: Whether parameters and results are there: those that are too large for a list are left out of it.
    """

    id: str
    folder: str
    state: RunState
    attempt: int
    notebook: str
    started_at: str
    ended_at: str | None
    seconds: float | None
    exit_code: int | None
    parameters: dict[str, Any]
    results: dict[str, Any]
    labels: dict[str, str]
    progress: Progress | None
    error: ProblemOfRun | None
    whole: bool = True


def summary_of(folder: str, run_id: str, record: RunResult) -> Summary:
    """What a list tells of a run."""
    error = record.error
    return Summary(
        id=run_id,
        folder=folder,
        state=record.state,
        attempt=record.attempt,
        notebook=record.input_uri,
        started_at=record.started_at,
        ended_at=record.ended_at,
        seconds=record.seconds,
        exit_code=record.exit_code,
        parameters=record.parameters,
        results=written(record.results),
        labels=record.labels,
        progress=record.progress,
        error=ProblemOfRun(error.reference, error.message, error.hint) if error else None,
    )


def short(summary: Summary) -> Summary:
    """The same, as long as a list has room for it: one large or damaged record must not keep others from being told."""
    if has_room(summary.parameters, summary.results, summary.labels):
        return summary
    return msgspec.structs.replace(summary, parameters={}, results={}, labels={}, whole=False)


def has_room(*values: Mapping[str, Any]) -> bool:
    """Whether a list has room for a run's values."""
    try:
        return len(msgspec.json.encode(values)) <= VALUES_BYTES
    except RecursionError:
        return False


def started(summary: Summary) -> float:
    """When a run began, in seconds since the epoch; before all times if it has not."""
    try:
        return timestamp(datetime.fromisoformat(summary.started_at))
    except ValueError:
        return -math.inf


def timestamp(moment: datetime) -> float:
    """Seconds since the epoch, which every date has: the first and last days overflow in another zone."""
    try:
        return moment.timestamp()
    except (OverflowError, ValueError):
        return -math.inf if moment.year < 1970 else math.inf
