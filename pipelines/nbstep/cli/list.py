"""``nbstep list``: the runs of a folder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from nbstep.cli.ages import Age
from nbstep.cli.common import AS_JSON, Storage, chosen, where
from nbstep.cli.parameters import Pair
from nbstep_runner.contract import RunResult, RunState


@click.command("list", short_help="List the runs of a folder.")
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
    from nbstep.cli.output import show_json, show_table
    from nbstep.profiles.volume_claims import here
    from nbstep.runs.history import history
    from nbstep.submission.request import DEFAULT_RUNS

    used = chosen(profile, runs, storage)
    folder = here(used.runs or DEFAULT_RUNS, used.kubernetes.claims)
    records = history(folder, storage=used.storage, limit=limit, keep=_filter(**wanted))
    if as_json:
        show_json(records)
    elif sys.stdout.isatty():
        from rich.console import Console

        from nbstep.views.run_list import run_list

        console = Console()
        console.print(run_list(records, console.width, datetime.now(UTC)))
    else:
        from nbstep.views.run_list import PLAIN_HEADS, plain_row

        now = datetime.now(UTC)
        show_table(PLAIN_HEADS, (plain_row(record, now) for record in records))


def _filter(
    state: str | None, labels: tuple[tuple[str, str], ...], since: timedelta | None, notebook: str | None
) -> Callable[[RunResult], bool]:
    begin = None if since is None else datetime.now(UTC) - since

    def keep(record: RunResult) -> bool:
        return (
            state in (None, record.state)
            and all(record.labels.get(name) == value for name, value in labels)
            and (begin is None or (bool(record.started_at) and datetime.fromisoformat(record.started_at) >= begin))
            and (notebook is None or record.run_id.startswith(notebook))
        )

    return keep
