"""``nbstep cancel``: ask a run to save what it has and end."""

from __future__ import annotations

import click

from nbstep.cli.common import RUN, Storage, found_started, where
from nbstep.views.text import visible_line


@click.command("cancel")
@RUN
@where
@click.option("--wait", "waits", is_flag=True, help="Wait until it has saved and ended.")
def command(run: str, profile: str | None, runs: str | None, storage: Storage, waits: bool) -> None:
    """Ask a run, or the runs of a sweep, to save what they have and end."""
    from nbstep.runs.run import Run

    submitted = found_started(run, profile, runs, storage)
    status = submitted.status()
    if status.state.final and not waits:
        click.echo(f"{submitted.id} has ended already: {visible_line(status.sentence)}")
        return
    submitted.cancel()
    if not waits:
        click.echo(f"{submitted.id}: asked to end")
        return
    if not isinstance(submitted, Run):
        submitted.wait(check=False)
        click.echo(f"{submitted.id}: {submitted.status().state} ({submitted.status().words})")
        return
    record = submitted.wait(check=False)
    click.echo(f"{submitted.id}: {record.state}")
    if record.output_version:
        click.echo(f"  executed notebook: {submitted.output_uri}")
