"""``nbstep logs``: what a run prints."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from nbstep.cli.common import RUN, concluded, found_any, where
from nbstep.cli.interrupts import CANCEL, watching
from nbstep.cli.streams import end_with_reader

if TYPE_CHECKING:
    from nbstep.endpoints.endpoint import Endpoint
    from nbstep.runs.run import Run
    from nbstep.sweeps.submitted import SubmittedSweep


@click.command("logs")
@RUN
@where
@click.option("-f", "--follow", is_flag=True, help="Go on to the end of the run.")
@CANCEL
@click.option("--json", "as_json", is_flag=True, help="Print the lines as the runner wrote them, JSON each.")
def command(run: str, follow: bool, cancel: bool, as_json: bool, **place: Any) -> None:
    """Show the log of a run, or of an endpoint's newest start; of a sweep a line for each run that has ended.

    With --follow it goes on to the end; Ctrl-C leaves the run alone.
    """
    from nbstep.runs.run import Run
    from nbstep.sweeps.submitted import SubmittedSweep

    submitted = found_any(run, **place)
    end_with_reader()
    followed = submitted if isinstance(submitted, Run | SubmittedSweep) else None
    with watching(followed, cancel=cancel) if followed is not None else nullcontext():
        show(submitted, follow=follow, as_json=as_json)


def show(run: Run | SubmittedSweep | Endpoint, *, follow: bool, as_json: bool, to_stderr: bool = False) -> None:
    """Print a run's log: a view on a terminal, lines elsewhere."""
    stream = sys.stderr if to_stderr else sys.stdout
    if follow and not as_json and stream.isatty() and not hasattr(run, "plan"):
        _view(run, to_stderr=to_stderr)
    elif as_json:
        for line in run.lines(follow=follow):
            stream.buffer.write(line.raw + b"\n")
            stream.flush()
    else:
        run.logs(follow=follow, file=stream)


def _view(run: Run | SubmittedSweep | Endpoint, *, to_stderr: bool) -> None:
    from rich.console import Console

    from nbstep.views.terminal import RunView

    with RunView(Console(stderr=to_stderr)) as view:
        for line in run.lines(follow=True):
            view.feed(line.raw)


def follow_run(run: Run) -> int:
    """Show a run to its end on standard error and return its exit code; a failure is told in two lines."""
    show(run, follow=True, as_json=False, to_stderr=True)
    return concluded(run.wait(check=False))
