"""``nbstep compare``: runs side by side."""

from __future__ import annotations

import sys
from typing import Any

import click

from nbstep.cli.common import found, where
from nbstep.cli.output import show_json, show_table


@click.command("compare")
@click.argument("runs_named", nargs=-1, required=True, metavar="RUN RUN…")
@where
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV.")
def command(runs_named: tuple[str, ...], form: str | None, **place: Any) -> None:
    """Show runs side by side: a line for each parameter and result, ``*`` where the runs differ.

    Each RUN is a run's string, its id or the beginning of it, ``latest``, or its executed notebook.
    """
    from nbstep.errors import NotStartedError
    from nbstep.views.comparison import compared, csv_of
    from nbstep_runner.errors import UsageError

    if len(runs_named) < 2:
        raise UsageError("one run cannot be compared", hint="Name two runs or more.")
    records = []
    for name in runs_named:
        run = found(name, **place)
        record = run.status().record
        if record is None:
            raise NotStartedError(f"the run {run.id} has not begun", hint="Compare it once it has.")
        records.append(record)
    lines = compared(records)
    if form == "json":
        show_json([{"name": line.name, "values": line.values, "differs": line.differs} for line in lines])
    elif form == "csv":
        click.echo(csv_of(lines), nl=False)
    elif sys.stdout.isatty():
        from rich.console import Console

        from nbstep.views.comparison import comparison_table

        Console().print(comparison_table(lines))
    else:
        head, *rest = lines
        rows = (("*" if line.differs else "", line.name, *line.texts) for line in rest)
        show_table(("", "", *head.texts), rows)
