"""``nbstep sweep``: one notebook, many parameter sets, in parallel on this machine or elsewhere."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from nbstep.cli.common import PROFILE, REACH, reached
from nbstep.cli.interrupts import CANCEL, watching
from nbstep.cli.output import show_plan, warn
from nbstep.cli.parameters import parameter_sources
from nbstep.cli.placing import BROUGHT, DRY_RUN, FIELDS, ON, RETRIES, overrides
from nbstep.cli.sweep_output import show, watched
from nbstep.sweeps.worker import SweepWorker
from nbstep_runner.cli.cell_options import CELLS, HTML_ALLOW, KERNEL_NAME, cell_fields
from nbstep_runner.cli.parameter_options import UNKNOWN_PARAMETERS, parameter_options
from nbstep_runner.cli.sections import SectionedCommand, section
from nbstep_runner.contract import Deadlines, StorageOptions, UnknownParameters

if TYPE_CHECKING:
    from nbstep.profiles import Profile
    from nbstep.sweeps.plan import SweepRequest

ELSEWHERE: Final = (
    *("per_pod", "retries", "image", "cpu", "memory", "gpu", "env", "fields", "label", "files", "requirements"),
    "dry_run",
)
"""Options that say nothing on this machine."""
SECONDS: Final = click.FloatRange(min=0, min_open=True)


@click.command("sweep", cls=SectionedCommand)
@click.argument("notebook")
@click.argument("params", required=False)
@section(
    "Parameters",
    click.option(
        "--grid", multiple=True, metavar="NAME=A,B,C", help="Values of a parameter; all combinations are run."
    ),
    click.option("--matrix", metavar="FILE", help="Parameter sets: CSV, or a JSON or YAML list of mappings."),
    *parameter_options(" of all runs"),
    UNKNOWN_PARAMETERS,
)
@section(
    "Kernels",
    click.option(
        "-j",
        "--jobs",
        type=click.IntRange(min=1),
        help="Runs at once; as many as there are CPUs by default. On a cluster: pods, 8 by default.",
    ),
    KERNEL_NAME,
    click.option("--cwd", type=click.Path(exists=True, file_okay=False), help="The kernels' working directory."),
    click.option("--cold", is_flag=True, help="Launch every kernel instead of forking it from a warm one."),
    click.option("--preload/--no-preload", default=True, help="Fork kernels with what the notebook imports."),
    *CELLS,
    click.option("--execution-timeout", type=SECONDS, help="Seconds for each cell."),
    click.option("--run-timeout", type=SECONDS, help="Seconds for all cells of a run together."),
)
@section(
    "Output",
    click.option("-o", "--output", required=True, metavar="DIR", help="The folder in which each run gets its own."),
    click.option("--html/--no-html", default=False, help="Write the executed notebooks as HTML too."),
    HTML_ALLOW,
    click.option("--force", is_flag=True, help="Run every set again, whatever its record says."),
    click.option(
        "--keep-state/--no-keep-state", "state", default=None, help="Keep each run's state from attempt to attempt."
    ),
    click.option("--resume", is_flag=True, help="Run failed sets again from their newest state."),
    click.option("--json", "form", flag_value="json", help="Print the table as JSON."),
    click.option("--csv", "form", flag_value="csv", help="Print the table as CSV."),
)
@section(
    "Place, if not this machine",
    ON,
    PROFILE,
    click.option("--per-pod", type=click.IntRange(min=1), help="Runs at once in each pod; 1 by default."),
    RETRIES,
    *FIELDS,
    *BROUGHT,
    DRY_RUN,
    click.option("--wait/--no-wait", default=True, help="Follow it to the end; else start it, and go."),
    CANCEL,
)
@section("Storage", *REACH)
def command(notebook: str, params: str | None, form: str | None, **options: Any) -> int:
    """Run NOTEBOOK once for each parameter set, several at once, and show a table of what came of it.

    Each run is as if it were alone: DIR/NAME/output.ipynb, with its log and record beside it. The parameters in PARAMS
    are given to all runs. A second call makes only the runs that are missing.

    On a cluster the runs are shared out to pods, and Ctrl-C leaves the sweep alone: the same command follows it again.

    The exit code is 0 only if every run succeeded, else that of the first set that did not; 130 or 143 if the sweep
    was stopped, after saving the runs under way.
    """
    storage = StorageOptions(**reached(options))
    if options["on"] or options["profile"]:
        from nbstep.backends.registry import runs_here
        from nbstep.profiles import load_profile

        where = load_profile(options["profile"], overrides(options))
        storage = where.storage
        if not runs_here(where.on):
            return _elsewhere(_request(notebook, params, options, storage), where, form, options)
    from nbstep.sweeps.api import carry_out, refuse_elsewhere

    given = {name: options[name] for name in ELSEWHERE}
    refuse_elsewhere(given, wait=options["wait"])
    with SweepWorker(kernel=options["kernel"], folder=options["cwd"], cold=options["cold"]) as worker:
        from nbstep.sweeps.plan import prepare

        prepared = prepare(_request(notebook, params, options, storage))
        warn(prepared.warnings)
        done = watched(partial(carry_out, worker, prepared), len(prepared.names), to_stderr=form is not None)
    show(done, form)
    return done.exit_code


def _elsewhere(request: SweepRequest, where: Profile, form: str | None, options: dict[str, Any]) -> int:
    from nbstep.sweeps.elsewhere import place
    from nbstep.sweeps.start import planned, start_sweep

    brought = {name: options[name] for name in ("files", "requirements")}
    placed = place(request, where, per_worker=options["per_pod"], **brought)
    warn(placed.warnings)
    if options["dry_run"]:
        show_plan(planned(placed).text, placed.image)
        return 0
    sweep = start_sweep(placed)
    click.echo(str(sweep), err=options["wait"])
    if not options["wait"]:
        return 0
    with watching(sweep, cancel=options["cancel"]):
        done = watched(
            lambda listen: sweep.wait(check=False, listen=listen), len(placed.plan.specs), to_stderr=form is not None
        )
    show(done, form)
    return done.exit_code


def _request(notebook: str, params: str | None, options: dict[str, Any], storage: StorageOptions) -> SweepRequest:
    from nbstep.sweeps.plan import SweepRequest
    from nbstep.sweeps.sets import combine, read_matrix, typed_axis
    from nbstep_runner.stores import open_store

    axes = [typed_axis(text) for text in options["grid"]]
    file = options["matrix"]
    matrix = read_matrix(open_store(file, storage).read(file).data, file) if file else []
    return SweepRequest(
        notebook=notebook,
        sets=combine(axes, matrix),
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
            **{name: options[name] for name in ("kernel", "html", "force", "resume")},
            **({} if options["state"] is None else {"state": options["state"]}),
            **cell_fields(options),
        },
    )
