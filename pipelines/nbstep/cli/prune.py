"""``nbstep prune``: old runs of a folder, removed whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from nbstep.cli.common import chosen, where
from nbstep.cli.parameters import Age

if TYPE_CHECKING:
    from nbstep.runs.removal import Removed
    from nbstep.runs.run import Run
    from nbstep.submission.places import RunPlaces
    from nbstep_runner.contract import RunResult, StorageOptions
    from nbstep_runner.errors import NbstepError


@click.command("prune")
@where
@click.option("--older-than", type=Age(), required=True, help="Only runs that ended longer ago, such as 30d or 12h.")
@click.option("--keep-failed", is_flag=True, help="Keep the runs that did not succeed.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def command(older_than: timedelta, keep_failed: bool, dry_run: bool, **place: Any) -> None:
    """Remove the runs of a folder that ended long ago, each of them whole.

    Runs that have not ended are kept, and so is whatever in the folder was not submitted by nbstep. A run of which
    another attempt may follow is kept too where its place does not answer.
    """
    from nbstep.backends.protocol import RUN_ID
    from nbstep.backends.stores import check_removable, folder_of_runs
    from nbstep.runs.history import history
    from nbstep.runs.removal import ended_before
    from nbstep.submission.places import RunPlaces
    from nbstep.submission.removal import remove
    from nbstep_runner.errors import NbstepError, OutputConflictError, StorageDeniedError, StorageUnavailableError

    used = chosen(**place)
    folder = folder_of_runs(used)
    check_removable(folder)
    silent: set[str] = set()
    seen: set[str] = set()
    away: dict[str, NbstepError] = {}
    count = size = 0
    is_old = partial(ended_before, limit=datetime.now(UTC) - older_than, keep_failed=keep_failed)
    try:
        for listed in filter(is_old, history(folder, storage=used.storage)):
            if listed.run_id in seen or not RUN_ID.fullmatch(listed.run_id):
                continue
            seen.add(listed.run_id)  # a copy of its record names it too
            try:
                run = _old_run(RunPlaces.of(folder, listed.run_id), used.storage, is_old, silent)
                if run is None:
                    continue
                removed = remove(run, dry_run=dry_run, away=away)
            except OutputConflictError:  # another attempt of it may follow
                continue
            except (StorageDeniedError, StorageUnavailableError):
                raise
            except NbstepError as error:  # such as one of a backend that is not installed here
                click.echo(f"nbstep: {listed.run_id} is kept: {error.message}", err=True)
                continue
            click.echo(line_of(removed, dry_run=dry_run))
            count, size = count + 1, size + removed.size
    except NbstepError:
        if count:
            _tell(count, size, away, dry_run=dry_run)
        raise
    _tell(count, size, away, dry_run=dry_run)


def _old_run(
    places: RunPlaces, storage: StorageOptions, is_old: Callable[[RunResult], bool], silent: set[str]
) -> Run | None:
    """The submitted run that lies there, if it may go; its own record says so, for any notebook may have left one."""
    from nbstep.runs.verdict import can_be_retried
    from nbstep.submission.find import submitted_at

    run = submitted_at(places, places.folder.rpartition("/")[2], storage)
    record = None if run is None else run.record()
    if run is None or record is None or not is_old(record):
        return None
    return None if can_be_retried(record) and _cannot_say(run, silent) else run


def _tell(count: int, size: int, away: Mapping[str, NbstepError], *, dry_run: bool) -> None:
    for there, problem in away.items():
        click.echo(f"nbstep: {there} has not forgotten what was removed: {problem.message}", err=True)
    click.echo(f"{count} runs, {megabytes(size)}" + (", nothing was removed" if dry_run else ""))


def _cannot_say(run: Run, silent: set[str]) -> bool:
    """Whether the place of a run does not say how it stands; a place that does not is asked once, and told of."""
    from nbstep.errors import ClusterUnavailableError
    from nbstep.submission.removal import place_of

    if place_of(run) not in silent:
        try:
            run.status()
        except ClusterUnavailableError as error:
            silent.add(place_of(run))
            click.echo(f"nbstep: runs that may go on at {place_of(run)} are kept: {error.message}", err=True)
    return place_of(run) in silent


def line_of(removed: Removed, *, dry_run: bool) -> str:
    """What became of a run, in one line."""
    done = "would be removed" if dry_run else "removed"
    return f"{removed.run_id}: {removed.objects} objects, {megabytes(removed.size)} {done}"


def megabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:.1f} MB"
