"""``nbstep status``: how a run stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nbstep.cli.common import AS_JSON, RUN, Storage, described, described_endpoint, described_sweep, found_any, where
from nbstep.cli.output import show_json
from nbstep.views.text import visible_line
from nbstep_runner.contract import RunResult

if TYPE_CHECKING:
    from nbstep.endpoints.endpoint import Endpoint, EndpointStatus
    from nbstep.runs.run import Run
    from nbstep.sweeps.submitted import SubmittedSweep
    from nbstep.views.status import RunStatus


@click.command("status")
@RUN
@where
@AS_JSON
def command(run: str, profile: str | None, runs: str | None, storage: Storage, as_json: bool) -> None:
    """Show how a run, a sweep or an endpoint stands, and what holds it up."""
    from nbstep.runs.run import Run
    from nbstep.sweeps.submitted import SubmittedSweep

    submitted = found_any(run, profile, runs, storage)
    if isinstance(submitted, Run):
        _show_run(submitted, as_json=as_json)
    elif isinstance(submitted, SubmittedSweep):
        _show_sweep(submitted, as_json=as_json)
    else:
        _show_endpoint(submitted, as_json=as_json)


def _show_run(run: Run, *, as_json: bool) -> None:
    status = run.status()
    if as_json:
        show_json(described(run, status) | {"attempts": run.attempts()})
        return
    click.echo(f"{run.id}: {visible_line(status.sentence)}")
    _show_problems(status)
    _show_earlier(run)
    error = status.record.error if status.record is not None else None
    for line in error.traceback if error is not None else ():
        click.echo(f"  {visible_line(line)}")
    if status.record is not None and (told := _told_of_pod(status.record)):
        click.echo(f"  {told}")
    if error is not None and error.hint:
        click.echo(f"  {error.hint}")
    if status.state.final and status.record is not None:
        _show_places(run.output_uri, status.record)


def _show_problems(status: RunStatus | EndpointStatus) -> None:
    """What holds it up, unless its words say so."""
    for problem in status.problems:
        if problem not in status.words:
            click.echo(f"  {problem}")


def _show_places(output_uri: str, record: RunResult) -> None:
    """Where a run that has ended has left what."""
    if record.output_version:
        click.echo(f"  executed notebook: {output_uri}")
    if record.files:
        click.echo(f"  files: {len(record.files)}, listed by nbstep files {record.run_id}")


def _show_earlier(run: Run) -> None:
    """How the attempts ended that another has followed."""
    from nbstep.runs.verdict import said

    for record in run.attempts()[:-1]:
        click.echo(f"  attempt {record.attempt}: {visible_line(said(record))}")


def _show_sweep(sweep: SubmittedSweep, *, as_json: bool) -> None:
    status = sweep.status()
    if as_json:
        show_json(described_sweep(sweep, status))
        return
    from nbstep.sweeps.lines import line_of

    click.echo(f"{sweep.id}: {status.state} ({status.words})")
    _show_problems(status)
    for run in sweep.outcome().runs:
        if run.error:
            click.echo(f"  {line_of(run)}")


def _show_endpoint(endpoint: Endpoint, *, as_json: bool) -> None:
    status = endpoint.status()
    if as_json:
        show_json(described_endpoint(endpoint, status))
        return
    click.echo(f"{endpoint.name}: {status.state}" + (f" ({status.words})" if status.words else ""))
    _show_problems(status)


def _told_of_pod(record: RunResult) -> str:
    """Where a step of Kubeflow Pipelines ran, and its code, which its pod hides."""
    there = record.environment
    if there is None or there.pod is None:
        return ""
    pod = visible_line("pod " + "/".join(part for part in (there.namespace, there.pod) if part))
    if not record.exit_code:
        return f"in {pod}"
    return f"ended with {record.exit_code} in {pod}; the pod itself says 1, as KFP's launcher does for every failure"
