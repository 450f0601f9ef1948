"""``nbstep wait``: the verdict."""

from __future__ import annotations

import click

from nbstep.cli.common import AS_JSON, RUN, concluded, found, where


@click.command("wait", short_help="Wait for the end of a run.")
@RUN
@where
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait; without it there is no bound.")
@AS_JSON
def command(
    run: str, profile: str | None, runs: str | None, endpoint_url: str | None, timeout: float | None, as_json: bool
) -> int:
    """Wait for the end of a run. The exit code is the run's own."""
    submitted = found(run, profile, runs, endpoint_url)
    record = submitted.wait(timeout, check=False)
    if as_json:
        from nbstep.cli.output import show_json

        show_json(record)
    else:
        click.echo(f"{submitted.id}: {record.state}")
    return concluded(record)
