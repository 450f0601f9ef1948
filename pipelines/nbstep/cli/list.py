"""``nbstep list``: the runs of a folder."""

from __future__ import annotations

import click

from nbstep.cli.common import AS_JSON, Storage, chosen, where
from nbstep_runner.contract import RunResult, RunState


@click.command("list", short_help="List the runs of a folder.")
@where
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="At most this many.")
@click.option("--state", type=click.Choice(list(map(str, RunState))), help="Only those in this state.")
@AS_JSON
def command(
    profile: str | None, runs: str | None, storage: Storage, limit: int, state: str | None, as_json: bool
) -> None:
    """List the runs below a folder, newest first."""
    from nbstep.cli.output import show_json, show_table
    from nbstep.profiles.volume_claims import here
    from nbstep.runs.history import history
    from nbstep.submission.request import DEFAULT_RUNS

    used = chosen(profile, runs, storage)
    folder = here(used.runs or DEFAULT_RUNS, used.kubernetes.claims)
    records = history(folder, storage=used.storage, limit=limit, state=state)
    if as_json:
        show_json(records)
    else:
        show_table(("RUN", "STATE", "STARTED", "SECONDS", "ERROR"), map(_row, records))


def _row(record: RunResult) -> tuple[str, ...]:
    seconds = "" if record.seconds is None else f"{record.seconds:.1f}"
    error = record.error.message[:80] if record.error else ""
    return record.run_id, str(record.state), record.started_at[:19].replace("T", " "), seconds, error
