"""``nbstep wait``: wait for a run's end; the exit code is the run's."""

from __future__ import annotations

from typing import Any

import click

from nbstep.cli.common import AS_JSON, RUN, concluded, found_started, where
from nbstep.cli.interrupts import CANCEL, watching
from nbstep.cli.output import show_json
from nbstep.cli.sweep_output import show


@click.command("wait")
@RUN
@where
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds to wait; without it there is no bound.")
@CANCEL
@AS_JSON
def command(run: str, timeout: float | None, cancel: bool, as_json: bool, **place: Any) -> int:
    """Wait for the end of a run, or of a sweep. The exit code is its own; Ctrl-C leaves it alone."""
    from nbstep.runs.run import Run

    submitted = found_started(run, **place)
    if not isinstance(submitted, Run):
        with watching(submitted, cancel=cancel):
            done = submitted.wait(timeout, check=False)
        show(done, "json" if as_json else None)
        return done.exit_code
    with watching(submitted, cancel=cancel):
        record = submitted.wait(timeout, check=False)
    if as_json:
        show_json(record)
    else:
        click.echo(f"{submitted.id}: {record.state}")
    return concluded(record)
