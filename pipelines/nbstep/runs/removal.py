"""Runs removed: all that is one's own, in an order that never leaves half a run for readers to find."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nbstep_runner.contract import (
    FILES,
    OWN_ENDINGS,
    OWN_FOLDERS,
    PAGE_ENDING,
    RECORD_ENDING,
    RunResult,
    RunState,
    moment_of,
)
from nbstep_runner.errors import OutputConflictError
from nbstep_runner.stores import Store, is_remote, join, sibling


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


def remove_beside(store: Store, output: str, record: RunResult | None, *, dry_run: bool = False) -> Removed:
    """Remove an executed notebook and what its run left beside it; all else in the folder is not the run's.

    Args:
        store: Of the output.
        output: The executed notebook.
        record: Of the run that wrote it: a page or collected files that it does not name are not the run's.
        dry_run: Only count.

    Raises:
        NbstepError: The store denies it, or does not answer.
    """
    named = {PAGE_ENDING: record and record.html_uri, FILES: record and record.files}
    own = [sibling(output, each) for each in OWN_ENDINGS if named.get(each, True)]
    found = map(store.stat, (sibling(output, RECORD_ENDING), output, *own))
    stats = [stat for stat in found if stat is not None]  # the record first: by it the run is found
    folders = [sibling(output, each) for each in OWN_FOLDERS if named.get(each, True)]
    for folder in folders:
        stats += store.list(join(folder, ""))
    if not dry_run:
        for stat in stats:
            store.delete(stat.uri)
        if not is_remote(output):
            for folder in folders:
                shutil.rmtree(Path(folder), ignore_errors=True)
    return Removed(record.run_id if record else "", len(stats), sum(stat.size for stat in stats))


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


def ended_before(record: RunResult, limit: datetime, *, keep_failed: bool) -> bool:
    """Whether its run ended before ``limit``; with ``keep_failed`` it has to have succeeded. None does that goes on."""
    if not record.state.final or (keep_failed and record.state is not RunState.SUCCEEDED):
        return False
    ended = moment_of(record.ended_at or "")
    return ended is not None and ended < limit
