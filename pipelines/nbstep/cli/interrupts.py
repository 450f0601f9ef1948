"""Ctrl-C while a run is only watched: the run goes on, and the person learns how to come back to it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

import click

from nbstep_runner.errors import ExitCode

if TYPE_CHECKING:
    from nbstep.runs.run import Run
    from nbstep.sweeps.submitted import SubmittedSweep

CANCEL: Final = click.option(
    "--cancel-on-second-interrupt", "cancel", is_flag=True, help="Ctrl-C twice asks the run to save and end."
)


@contextmanager
def watching(run: Run | SubmittedSweep, *, cancel: bool = False) -> Iterator[None]:
    """Let Ctrl-C end the watching, never the run.

    Args:
        run: The run or the sweep that is watched.
        cancel: Go on watching after the first Ctrl-C; the second one asks the run to end.
    """
    if cancel:
        with _second_cancels(run):
            yield
        return
    try:
        yield
    except KeyboardInterrupt:
        click.echo(
            f"\nnbstep: {_kind(run)} goes on. Follow it again with: nbstep logs -f {run}\n"
            f"Ask it to end with: nbstep cancel {run}",
            err=True,
        )
        raise click.exceptions.Exit(int(ExitCode.INTERRUPTED)) from None


@contextmanager
def _second_cancels(run: Run | SubmittedSweep) -> Iterator[None]:
    warned = threading.Event()

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        if warned.is_set():
            # on a thread: the connection that is being read may be in the middle of anything
            threading.Thread(target=run.cancel, name="nbstep-cancel").start()
            return
        warned.set()
        click.echo(f"\nnbstep: {_kind(run)} goes on; Ctrl-C again asks it to save and end.", err=True)

    previous = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _kind(run: Run | SubmittedSweep) -> str:
    return "the run" if hasattr(run, "output_uri") else "the sweep"
