"""A run that has ended, removed: its objects, and then what the place where it took place remembers of it."""

from __future__ import annotations

from nbstep.backends.protocol import forget
from nbstep.backends.recorded import RecordedBackend
from nbstep.runs.removal import Removed, check_ended, remove_beside, remove_run
from nbstep.runs.run import Run
from nbstep.runs.verdict import can_be_retried
from nbstep.submission.find import submitted_at
from nbstep.submission.places import RunPlaces
from nbstep_runner.contract import RunState
from nbstep_runner.errors import NbstepError


def remove(run: Run, *, dry_run: bool = False, away: set[str] | None = None) -> Removed:
    """Remove a run that has ended, and let its place forget it.

    A run that was submitted has a folder of its own, which goes whole. Of any other run only its notebook goes and what
    lies beside it by its name: the folder is somebody's project.

    Args:
        run: However it was found.
        dry_run: Only count.
        away: Places that do not answer, for whoever removes many runs: one that only has to forget a run is asked
            once, and noted here instead of raised.

    Raises:
        OutputConflictError: It has not ended.
        NbstepError: Its place or its store does not answer, or denies it.
    """
    places = RunPlaces(run.output_uri.rpartition("/")[0])
    own = not isinstance(run.backend, RecordedBackend)
    if not own and run.output_uri == places.output and places.folder.rpartition("/")[2] == run.id:
        sent = submitted_at(places, run.id, run.storage)  # found by its notebook, it is not known as submitted
        own = sent is not None or run.store.stat(places.spec) is not None
        run = sent or run
    check_ended(run.id, _state(run))
    if own:
        removed = remove_run(run.store, places.folder, places.found_by, dry_run=dry_run)
    else:
        removed = remove_beside(run.store, run.output_uri, run.id, dry_run=dry_run)
    if not dry_run:
        _forget(run, away)
    return removed


def place_of(run: Run) -> str:
    """The place of a run, as its handle names it: what answers for one run there answers for all."""
    return run.handle.rpartition("/")[0]


def _state(run: Run) -> RunState:
    """How it stands; its place is asked where its record is not the last word."""
    record = run.record()
    return record.state if record and record.state.final and not can_be_retried(record) else run.state


def _forget(run: Run, away: set[str] | None) -> None:
    if away is None:
        forget(run.backend, run.handle)
    elif place_of(run) not in away:
        try:
            forget(run.backend, run.handle)
        except NbstepError:
            away.add(place_of(run))
