"""The rows of an index of runs: what a listing enters, what is kept and looked for, what a list has room for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from nbstep.backends.server.interface import Summary
from nbstep_runner.contract import RunState

Place = tuple[float, str]
"""When a run's object was written, and the run's id: what runs are ordered by."""
VALUES_BYTES: Final = 2**16
"""How much a list tells of one run's values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A run as a listing has it.

    Attributes:
        has_record: Whether its record is there, or only its spec.
        version: Of that object.
        modified: When that object was written.
    """

    run_id: str
    has_record: bool
    version: str
    modified: float


@dataclass(frozen=True, slots=True)
class Row:
    """A run as the index has it.

    Attributes:
        read_at: When its object was read; 0 if not since it changed.
        settled: What was read changes no more, unless a listing says so.
        summary: What was read, as JSON; ``None`` where that was no record.
    """

    key: int
    run_id: str
    has_record: bool
    version: str
    modified: float
    read_at: float
    settled: bool
    summary: bytes | None

    @property
    def place(self) -> Place:
        """Where it stands among the others."""
        return self.modified, self.run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Runs that have something in common.

    Attributes:
        name: Of the notebook, or a label as ``NAME=VALUE``.
        succeeded: How many of them did, as far as their records have been read.
        failed: How many failed or were lost.
        latest: The one whose object was written last.
    """

    name: str
    runs: int
    succeeded: int
    failed: int
    latest: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs are looked for; all if nothing is said."""

    state: RunState | None = None
    prefix: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    since: float | None = None

    def condition(self) -> tuple[str, list[Any]]:
        """The same of rows that are settled."""
        found: list[tuple[str, list[Any]]] = [("settled = 1 AND summary IS NOT NULL", [])]
        if self.state is not None:
            found.append(("state = ?", [self.state.value]))
        if self.since is not None:
            found.append(("started >= ?", [self.since]))
        found += [("key IN (SELECT key FROM labels WHERE name = ? AND value = ?)", list(each)) for each in self.labels]
        return " AND ".join(text for text, _ in found), [value for _, values in found for value in values]


@dataclass(frozen=True, slots=True)
class Found:
    """What reading a row's objects brought; the row may have changed since."""

    row: Row
    summary: Summary | None
    settled: bool
    started: float = 0.0


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
