"""Whole runs removed: all that lies in a run's folder, in an order that never leaves half a run for readers to find."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nbstep_runner.contract import RunResult, RunState
from nbstep_runner.errors import OutputConflictError
from nbstep_runner.stores import Store, is_remote, join


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken away, or would be.

    Attributes:
        objects: How many objects.
        size: Their bytes.
    """

    run_id: str
    objects: int
    size: int


def remove_run(store: Store, folder: str, first: Sequence[str], *, dry_run: bool = False) -> Removed:
    """Remove everything about one run that has ended.

    Args:
        store: Of the run's folder.
        folder: The run's own.
        first: The objects by which the run is found and listed. They go first: whoever looks meanwhile sees all of
            the run or nothing of it.
        dry_run: Only count.

    Raises:
        NbstepError: The store denies it, or does not answer.
    """
    stats = list(store.list(join(folder, "")))
    if not dry_run:
        there = {stat.uri for stat in stats}
        for uri in (*(uri for uri in first if uri in there), *sorted(there.difference(first))):
            store.delete(uri)
        if not is_remote(folder):
            shutil.rmtree(Path(folder), ignore_errors=True)
    return Removed(folder.rpartition("/")[2], len(stats), sum(stat.size for stat in stats))


def check_ended(run_id: str, state: RunState) -> None:
    """Refuse what would take a run's files away beneath it.

    Raises:
        OutputConflictError: The run has not ended.
    """
    if not state.final:
        raise OutputConflictError(
            f"the run {run_id} is {state}, and nothing of it was removed",
            hint=f"Wait for its end, or ask for it with: nbstep cancel {run_id}.",
        )


def older_than(records: Iterable[RunResult], age: timedelta, *, keep_failed: bool) -> Iterator[RunResult]:
    """Those whose run ended longer ago than ``age``; what has not ended is never among them.

    Args:
        records: Of runs.
        age: Counted from the run's end.
        keep_failed: Only those that succeeded.
    """
    limit = datetime.now(UTC) - age
    for record in records:
        if not record.state.final or (keep_failed and record.state is not RunState.SUCCEEDED):
            continue
        if record.ended_at and datetime.fromisoformat(record.ended_at) < limit:
            yield record
