"""A sweep as its command shows it: how far it is, and its table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from nbstep.cli.output import show_json, show_table

if TYPE_CHECKING:
    from nbstep.sweeps.outcome import Listener, Sweep


def watched(carry_out: Callable[[Listener], Sweep], count: int, *, to_stderr: bool) -> Sweep:
    """Let it go on: on a terminal with a view that follows it, elsewhere with a line on stderr for each end."""
    stream = sys.stderr if to_stderr else sys.stdout
    if not stream.isatty():
        return carry_out(_tell)
    from rich.console import Console

    from nbstep.sweeps.view import SweepView

    with SweepView(Console(stderr=to_stderr), count) as view:
        return carry_out(view.hear)


def _tell(_: int, run: Any) -> None:
    if run.result is not None:
        from nbstep.sweeps.lines import line_of

        click.echo(line_of(run), err=True)


def show(done: Sweep, form: str | None) -> None:
    """Its table: as JSON or CSV if one of them is asked for."""
    if form == "json":
        show_json(done.rows())
    elif form == "csv":
        click.echo(done.csv(), nl=False)
    elif sys.stdout.isatty():
        from rich.console import Console

        from nbstep.sweeps.view import failures, sweep_table

        Console().print(sweep_table(done), *failures(done), sep="\n")
    else:
        from nbstep.sweeps.lines import plain_rows

        show_table(*plain_rows(done))
