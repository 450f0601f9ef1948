"""``nbstep endpoint-step``: the command of the component that :func:`nbstep.steps.endpoint.endpoint_step` makes."""

from __future__ import annotations

import click


@click.command("endpoint-step", hidden=True)
@click.option("--executor-input", metavar="JSON", required=True, help="KFP's ExecutorInput: '{{$}}' in a component.")
@click.option("--plan", required=True, metavar="JSON", help="What was fixed of the notebook.")
@click.option("--served", required=True, metavar="JSON", help="What was fixed of the endpoint.")
@click.option("--notebook", metavar="BASE64", help="The notebook, gzipped; without it the plan names its place.")
def command(executor_input: str, plan: str, served: str, notebook: str | None) -> int:
    """Serve a notebook, and end once it answers; its component holds this command line."""
    from nbstep.endpoints.step import serve_step
    from nbstep.profiles.exposure import ServedStep
    from nbstep_runner.contract import StepSpec, decode
    from nbstep_runner.errors import NbstepError
    from nbstep_runner.kfp_adapter.executor_input import read_executor_input
    from nbstep_runner.session.termination import write_termination_error

    try:
        url = serve_step(
            decode(plan.encode(), StepSpec),
            decode(served.encode(), ServedStep),
            read_executor_input(executor_input),
            notebook,
        )
    except NbstepError as error:
        write_termination_error(error)
        raise
    click.echo(f"serving at {url}")
    return 0
