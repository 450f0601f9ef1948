"""A run that has ended, removed: its objects, and then what the place where it took place remembers of it."""

from __future__ import annotations

from contextlib import suppress

from nbstep.backends.protocol import forget
from nbstep.backends.recorded import RecordedBackend
from nbstep.backends.stores import check_removable
from nbstep.errors import ClusterUnavailableError, RunNotFoundError
from nbstep.runs.removal import Removed, check_ended, remove_beside, remove_run
from nbstep.runs.run import Run
from nbstep.runs.verdict import can_be_retried
from nbstep.submission.find import submitted_at
from nbstep.submission.places import RunPlaces
from nbstep_runner.contract import RunState
from nbstep_runner.errors import BadInputError, NbstepError


def remove(run: Run, *, dry_run: bool = False, away: dict[str, NbstepError] | None = None) -> Removed:
    """Remove a run that has ended, and let its place forget it.

    A run that was submitted has a folder of its own, which goes whole. Of any other run only its notebook goes and what
    lies beside it by its name: the folder is somebody's project.

    Args:
        run: However it was found.
        dry_run: Only count.
        away: For whoever removes many runs: where a run cannot be forgotten that is noted here, and not raised. The
            key is the run's place where nobody answers there, which is asked once; else its handle.

    Raises:
        OutputConflictError: It has not ended.
        StorageDeniedError: It is a service's.
        NbstepError: Its store does not answer, or denies it; without ``away`` its place, once its objects are gone.
    """
    check_removable(run.output_uri)
    unforgotten: dict[str, NbstepError] = {} if away is None else away
    places = RunPlaces(run.output_uri.rpartition("/")[0])
    own = not isinstance(run.backend, RecordedBackend)
    if not own and run.output_uri == places.output and places.folder.rpartition("/")[2] == run.id:
        sent = submitted_at(places, run.id, run.storage)  # found by its notebook, it is not known as submitted
        own = sent is not None or run.store.stat(places.spec) is not None
        run = sent or run
    check_ended(run.id, _state(run))
    remembered = not dry_run and _is_remembered(run, unforgotten)
    if own:
        removed = remove_run(run.store, places.folder, places.found_by, dry_run=dry_run)
    else:
        removed = remove_beside(run.store, run.output_uri, run.record(), dry_run=dry_run)
    if remembered:
        _forget(run, unforgotten)
    if away is None and unforgotten:
        error = next(iter(unforgotten.values()))
        error.hint = f"What the run left in storage is removed; {place_of(run)} has not forgotten the run."
        raise error
    return removed


def place_of(run: Run) -> str:
    """The place of a run, as its handle names it: what answers for one run there answers for all."""
    return run.handle.rpartition("/")[0]


def _state(run: Run) -> RunState:
    """How it stands; its place is asked where its record is not the last word."""
    record = run.record()
    return record.state if record and record.state.final and not can_be_retried(record) else run.state


def _is_remembered(run: Run, away: dict[str, NbstepError]) -> bool:
    """Whether the place knows this very run by its handle: that can be another's of the same name by now."""
    if not hasattr(run.backend, "forget") or place_of(run) in away:
        return False
    expected = run.output_uri
    with suppress(NbstepError):
        expected = run.spec().output_uri  # as the place sees it
    try:
        return run.backend.locate(run.handle).output_uri == expected
    except (RunNotFoundError, BadInputError):
        return False
    except NbstepError as error:
        away[place_of(run)] = error
        return False


def _forget(run: Run, away: dict[str, NbstepError]) -> None:
    try:
        forget(run.backend, run.handle)
    except NbstepError as error:
        away[place_of(run) if isinstance(error, ClusterUnavailableError) else run.handle] = error
