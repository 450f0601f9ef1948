"""``nbstep sweep``: one notebook, many parameter sets, in parallel on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from nbstep.cli.parameters import parameter_sources
from nbstep.sweeps.worker import SweepWorker
from nbstep_runner.cli.parameter_options import parameter_options
from nbstep_runner.cli.sections import SectionedCommand, section
from nbstep_runner.contract import Deadlines, StorageOptions, UnknownParameters

if TYPE_CHECKING:
    from nbstep.sweeps.outcome import Sweep
    from nbstep.sweeps.plan import PreparedSweep, SweepRequest

SECONDS: Final = click.FloatRange(min=0, min_open=True)


@click.command("sweep", cls=SectionedCommand, short_help="Run a notebook with many parameter sets at once.")
@click.argument("notebook")
@click.argument("params", required=False)
@section(
    "Parameters",
    click.option(
        "--grid", multiple=True, metavar="NAME=A,B,C", help="Values of a parameter; all combinations are run."
    ),
    click.option("--matrix", metavar="FILE", help="Parameter sets: CSV, or a JSON or YAML list of mappings."),
    *parameter_options(" of all runs"),
    click.option(
        "--unknown-parameters",
        type=click.Choice(["error", "warn", "ignore"]),
        default="error",
        show_default=True,
        help="What to do with a parameter that the notebook does not declare.",
    ),
)
@section(
    "Kernels",
    click.option(
        "-j", "--jobs", type=click.IntRange(min=1), help="Runs at once; as many as there are CPUs by default."
    ),
    click.option("-k", "--kernel", help="The kernel to use, whatever the notebook says."),
    click.option("--cwd", type=click.Path(exists=True, file_okay=False), help="The kernels' working directory."),
    click.option("--cold", is_flag=True, help="Launch every kernel instead of forking it from a warm one."),
    click.option("--preload/--no-preload", default=True, help="Fork kernels with what the notebook imports."),
    click.option("--allow-errors", is_flag=True, help="Go on after a cell that raised."),
    click.option("--execution-timeout", type=SECONDS, help="Seconds for each cell."),
    click.option("--run-timeout", type=SECONDS, help="Seconds for all cells of a run together."),
)
@section(
    "Output",
    click.option("-o", "--output", required=True, metavar="DIR", help="The folder in which each run gets its own."),
    click.option("--html/--no-html", default=False, help="Write the executed notebooks as HTML too."),
    click.option("--force", is_flag=True, help="Run every set again, whatever its record says."),
    click.option("--json", "form", flag_value="json", help="Print the table as JSON."),
    click.option("--csv", "form", flag_value="csv", help="Print the table as CSV."),
)
@section(
    "Storage",
    click.option("--endpoint-url", metavar="URL", help="Another endpoint for s3://."),
    click.option("--allow-private-addresses", is_flag=True, help="Let http(s) reach loopback and private addresses."),
)
def command(notebook: str, params: str | None, form: str | None, **options: Any) -> int:
    """Run NOTEBOOK once for each parameter set, several at once, and show a table of what came of it.

    Each run is as if it were alone: DIR/NAME/output.ipynb, with its log and record beside it. The parameters in PARAMS
    are given to all runs. A second call makes only the runs that are missing.

    The exit code is 0 only if every run succeeded, else that of the first set that did not; 130 or 143 if the sweep
    was stopped, after saving the runs under way.
    """
    with SweepWorker(kernel=options["kernel"], folder=options["cwd"], cold=options["cold"]) as worker:
        from nbstep.sweeps.plan import prepare

        prepared = prepare(_request(notebook, params, options))
        for warning in prepared.warnings:
            click.echo(f"nbstep: warning: {warning}", err=True)
        done = _watched(worker, prepared, to_stderr=form is not None)
    _show(done, form)
    return done.exit_code


def _request(notebook: str, params: str | None, options: dict[str, Any]) -> SweepRequest:
    from nbstep.sweeps.plan import SweepRequest
    from nbstep.sweeps.sets import combine, read_matrix, typed_axis

    storage = StorageOptions(
        endpoint_url=options["endpoint_url"], allow_private_addresses=options["allow_private_addresses"]
    )
    axes = [typed_axis(text) for text in options["grid"]]
    matrix = options["matrix"]
    return SweepRequest(
        notebook=notebook,
        sets=combine(axes, read_matrix(_read(matrix, storage), matrix) if matrix else []),
        base=tuple(parameter_sources(params, options)),
        output=options["output"],
        jobs=options["jobs"],
        cold=options["cold"],
        preload=options["preload"],
        unknown_parameters=UnknownParameters(options["unknown_parameters"]),
        storage=storage,
        spec={
            "deadlines": Deadlines(cell=options["execution_timeout"], run=options["run_timeout"]),
            "working_directory": options["cwd"],
            **{name: options[name] for name in ("kernel", "html", "allow_errors", "force")},
        },
    )


def _read(uri: str, storage: StorageOptions) -> bytes:
    from nbstep_runner.stores import open_store

    return open_store(uri, storage).read(uri).data


def _watched(worker: SweepWorker, prepared: PreparedSweep, *, to_stderr: bool) -> Sweep:
    """Let it go on: on a terminal with a view that follows it, elsewhere with a line on stderr for each end."""
    from nbstep.sweeps.api import carry_out

    stream = sys.stderr if to_stderr else sys.stdout
    if not stream.isatty():
        return carry_out(worker, prepared, _tell)
    from rich.console import Console

    from nbstep.sweeps.view import SweepView

    with SweepView(Console(stderr=to_stderr), len(prepared.names)) as view:
        return carry_out(worker, prepared, view.hear)


def _tell(_: int, run: Any) -> None:
    if run.result is not None:
        from nbstep.sweeps.lines import line_of

        click.echo(line_of(run), err=True)


def _show(done: Sweep, form: str | None) -> None:
    if form == "json":
        from nbstep.cli.output import show_json

        show_json(done.rows())
    elif form == "csv":
        click.echo(done.csv(), nl=False)
    elif sys.stdout.isatty():
        from rich.console import Console

        from nbstep.sweeps.view import failures, sweep_table

        Console().print(sweep_table(done), *failures(done), sep="\n")
    else:
        from nbstep.cli.output import show_table
        from nbstep.sweeps.lines import plain_rows

        show_table(*plain_rows(done))
