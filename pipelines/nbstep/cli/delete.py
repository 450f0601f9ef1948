"""``nbstep delete``: a run and all that it left."""

from __future__ import annotations

import click

from nbstep.cli.common import RUN, Storage, found_any, where


@click.command("delete")
@RUN
@where
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def command(run: str, profile: str | None, runs: str | None, storage: Storage, dry_run: bool) -> None:
    """Remove a run that has ended: its notebook, record, log, page and all else in its folder.

    A run that was not submitted has no folder of its own: its notebook goes, and what its run left beside it.

    A run that has not ended is refused; nothing of it is touched. An endpoint answers what is under way, ends, and is
    removed with all of its runs. A sweep that has ended is removed with its runs, but for those that another sweep in
    its folder names.
    """
    from nbstep.cli.prune import line_of
    from nbstep.runs.run import Run
    from nbstep.submission.removal import remove
    from nbstep.sweeps.submitted import SubmittedSweep

    submitted = found_any(run, profile, runs, storage)
    if isinstance(submitted, SubmittedSweep):
        for removed in submitted.delete(dry_run=dry_run):
            click.echo(line_of(removed, dry_run=dry_run))
        return
    if not isinstance(submitted, Run):
        if not dry_run:
            submitted.delete()
        click.echo(f"{submitted.name}: {'would be' if dry_run else 'was'} ended and removed")
        return
    click.echo(line_of(remove(submitted, dry_run=dry_run), dry_run=dry_run))
