"""``nbstep list``: the runs of a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from nbstep.cli.common import AS_JSON, Storage, chosen, where
from nbstep.cli.output import show_json, show_table
from nbstep.cli.parameters import Age, Pair
from nbstep_runner.contract import RunResult, RunState, moment_of


@click.command("list")
@where
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most this many.")
@click.option("--state", type=click.Choice(list(map(str, RunState))), help="Only those in this state.")
@click.option("--label", "labels", type=Pair(), multiple=True, help="Only those with this label.")
@click.option("--since", type=Age(), help="Only those that started at most so long ago, such as 12h or 7d.")
@click.option("--notebook", metavar="TEXT", help="Only those whose id begins so, as the ids of a notebook's runs do.")
@AS_JSON
def command(profile: str | None, runs: str | None, storage: Storage, limit: int, as_json: bool, **wanted: Any) -> None:
    """List the runs below a folder, newest first.

    A terminal shows as many columns as fit; in a pipe each run is a line with all of them.
    """
    from nbstep.backends.stores import folder_of_runs
    from nbstep.runs.history import history

    used = chosen(profile, runs, storage)
    folder = folder_of_runs(used)
    records = history(folder, storage=used.storage, limit=limit, keep=_filter(**wanted))
    if as_json:
        show_json(records)
        return
    if not records:
        from nbstep_runner.stores import redact

        click.echo(f"nbstep: there is no {'such ' if any(wanted.values()) else ''}run below {redact(folder)}", err=True)
    from nbstep.views.run_list import PLAIN_HEADS, plain_row, run_list

    now = datetime.now(UTC)
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        console.print(run_list(records, console.width, now))
    else:
        show_table(PLAIN_HEADS, (plain_row(record, now) for record in records))


def _filter(
    state: str | None, labels: tuple[tuple[str, str], ...], since: timedelta | None, notebook: str | None
) -> Callable[[RunResult], bool]:
    begin = None if since is None else datetime.now(UTC) - since

    def keep(record: RunResult) -> bool:
        return (
            state in (None, record.state)
            and all(record.labels.get(name) == value for name, value in labels)
            and (begin is None or ((started := moment_of(record.started_at)) is not None and started >= begin))
            and (notebook is None or record.run_id.startswith(notebook))
        )

    return keep
