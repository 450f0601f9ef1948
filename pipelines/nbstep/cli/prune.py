"""``nbstep prune``: old runs of a folder, removed whole."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from nbstep.cli.ages import Age
from nbstep.cli.common import Storage, chosen, where

if TYPE_CHECKING:
    from nbstep.runs.removal import Removed


@click.command("prune", short_help="Remove old runs of a folder.")
@where
@click.option("--older-than", type=Age(), required=True, help="Only runs that ended longer ago, such as 30d or 12h.")
@click.option("--keep-failed", is_flag=True, help="Keep the runs that did not succeed.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def command(
    profile: str | None,
    runs: str | None,
    storage: Storage,
    older_than: timedelta,
    keep_failed: bool,
    dry_run: bool,
) -> None:
    """Remove the runs of a folder that ended long ago, each of them whole.

    Runs that have not ended are kept, and so is whatever in the folder was not submitted by nbstep.
    """
    from nbstep.backends.stores import store_of
    from nbstep.profiles.storage import folder_of_runs
    from nbstep.runs import removal
    from nbstep.runs.history import history
    from nbstep.submission.places import RunPlaces

    used = chosen(profile, runs, storage)
    folder = folder_of_runs(used)
    store = store_of(folder, used.storage)
    count = size = 0
    for record in removal.older_than(history(folder, storage=used.storage), older_than, keep_failed=keep_failed):
        places = RunPlaces.of(folder, record.run_id)
        if store.stat(places.submission) is None:
            continue
        removed = removal.remove_run(store, places.folder, places.found_by, dry_run=dry_run)
        click.echo(line_of(removed, dry_run=dry_run))
        count, size = count + 1, size + removed.size
    click.echo(f"{count} runs, {megabytes(size)}" + (", nothing was removed" if dry_run else ""))


def line_of(removed: Removed, *, dry_run: bool) -> str:
    """What became of a run, in one line."""
    done = "would be removed" if dry_run else "removed"
    return f"{removed.run_id}: {removed.objects} objects, {megabytes(removed.size)} {done}"


def megabytes(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:.1f} MB"
