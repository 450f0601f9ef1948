"""A page of the runs of a folder: filters, a cursor, and an end to what one page costs."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from nbstep.backends.protocol import RUN_ID
from nbstep.runs.history import newest_first, place_in_order, records
from nbstep.server.folders import RunFolder
from nbstep.server.problems import Problem
from nbstep_runner.contract import Progress, RunResult, RunState
from nbstep_runner.nonfinite import written
from nbstep_runner.stores import Stat

OBJECTS: Final = ("output.result.json", "spec.json")
"""The names, in a run's own folder, by which a run can be looked up."""

VALUES_BYTES: Final = 2**16
"""How much a list tells of one run's values."""

Order = tuple[float, str]


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client asks a list for.

    Attributes:
        cursor: Where the page before ended, as it said itself.
        notebook: Only runs whose ids begin so, as the ids of a notebook's runs do.
        label: Only runs with all of these, each ``NAME=VALUE``.
        since: Only runs that started then or later.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: str = ""
    state: RunState | None = None
    notebook: str = ""
    label: tuple[str, ...] = ()
    since: datetime | None = None

    def takes(self, run_id: str, record: RunResult) -> bool:
        """Whether a run is one of those that are asked for."""
        return (
            self.state in (None, record.state)
            and run_id.startswith(self.notebook)
            and all(record.labels.get(name) == value for name, _, value in (each.partition("=") for each in self.label))
            and (self.since is None or _started(record) >= _timestamp(self.since))
        )


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


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs, the one that was written last first.

    Attributes:
        next: The cursor of the next page; ``None`` where this is the last. A page may hold fewer runs than were asked
            for, and still have a next one: only so many records are read for one.
    """

    runs: tuple[Summary, ...]
    next: str | None


def page(folder: RunFolder, query: Query, most_records: int) -> Page:
    """The page that a query asks for.

    A run whose record was written since the page before is ahead of that page, not on the next.

    Raises:
        Problem: The cursor is none of ours.
    """
    after = _order(query.cursor) if query.cursor else None
    stats = [stat for stat in newest_first(folder.store, folder.prefix) if run_id_of(folder, stat) is not None]
    left = [stat for stat in stats if after is None or place_in_order(stat) < after]
    runs, last = [], None
    for stat, summary in _summaries(folder, left[:most_records], query):
        last = stat
        if summary is not None:
            runs.append(summary)
        if len(runs) == query.limit:
            break
    else:
        last = left[most_records - 1] if len(left) > most_records else None
    more = last is not None and last is not left[-1]
    return Page(runs=tuple(runs), next=_cursor(place_in_order(last)) if more and last is not None else None)


def _summaries(folder: RunFolder, stats: list[Stat], query: Query) -> Iterator[tuple[Stat, Summary | None]]:
    for stat, record in records(folder.store, stats):
        run_id = run_id_of(folder, stat)
        taken = run_id is not None and query.takes(run_id, record)
        yield stat, _short(summary_of(folder.name, run_id, record)) if taken and run_id is not None else None


def _short(summary: Summary) -> Summary:
    """The same, as long as a list has room for it: one large or damaged record must not keep others from being told."""
    try:
        size = len(msgspec.json.encode([summary.parameters, summary.results, summary.labels]))
    except RecursionError:
        size = VALUES_BYTES + 1
    if size <= VALUES_BYTES:
        return summary
    return msgspec.structs.replace(summary, parameters={}, results={}, labels={}, whole=False)


def run_id_of(folder: RunFolder, stat: Stat) -> str | None:
    """The id by which the run of an object is found; ``None`` of one that lies elsewhere than runs do."""
    run_id, _, name = stat.uri.removeprefix(folder.prefix).partition("/")
    return run_id if name in OBJECTS and RUN_ID.fullmatch(run_id) else None


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


def _started(record: RunResult) -> float:
    try:
        return _timestamp(datetime.fromisoformat(record.started_at))
    except ValueError:  # it has not begun
        return -math.inf


def _timestamp(moment: datetime) -> float:
    """Seconds since the epoch, which every date has: the first and last days overflow in another zone."""
    try:
        return moment.timestamp()
    except (OverflowError, ValueError):
        return -math.inf if moment.year < 1970 else math.inf


def _cursor(order: Order) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(order)).decode().rstrip("=")


def _order(cursor: str) -> Order:
    try:
        order: Order = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=Order)
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError):
        raise Problem(
            status=400, reference="usage", detail="the cursor is none that a list gave", hint="Begin without one."
        ) from None
    return order
