"""``nbstep wait``: the verdict."""

from __future__ import annotations

from typing import Any

import click

from nbstep.cli.common import AS_JSON, RUN, concluded, found, where
from nbstep.cli.interrupts import CANCEL, watching


@click.command("wait", short_help="Wait for the end of a run.")
@RUN
@where
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait; without it there is no bound.")
@CANCEL
@AS_JSON
def command(run: str, timeout: float | None, cancel: bool, as_json: bool, **place: Any) -> int:
    """Wait for the end of a run. The exit code is the run's own; Ctrl-C leaves the run alone."""
    submitted = found(run, **place)
    with watching(submitted, cancel=cancel):
        record = submitted.wait(timeout, check=False)
    if as_json:
        from nbstep.cli.output import show_json

        show_json(record)
    else:
        click.echo(f"{submitted.id}: {record.state}")
    return concluded(record)
