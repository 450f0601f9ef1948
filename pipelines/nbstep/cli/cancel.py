"""``nbstep cancel``: end a run, with what it has saved."""

from __future__ import annotations

import click

from nbstep.cli.common import RUN, Storage, found, where


@click.command("cancel", short_help="Ask a run to save and end.")
@RUN
@where
@click.option("--wait", "waits", is_flag=True, help="Wait until it has saved and ended.")
def command(run: str, profile: str | None, runs: str | None, storage: Storage, waits: bool) -> None:
    """Ask a run to save what it has and end."""
    submitted = found(run, profile, runs, storage)
    submitted.cancel()
    if not waits:
        click.echo(f"{submitted.id}: asked to end")
        return
    record = submitted.wait(check=False)
    click.echo(f"{submitted.id}: {record.state}")
    if record.output_version:
        click.echo(f"  executed notebook: {record.output_uri}")
