"""``nbstep submit``: start a run somewhere else, and go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nbstep.cli.common import AS_JSON
from nbstep.cli.interrupts import CANCEL, watching
from nbstep.cli.output import show_json, show_plan, warn
from nbstep.cli.parameters import submitted_sources
from nbstep.cli.placing import BROUGHT, DRY_RUN, FOLLOW, PLACE, RETRIES, overrides
from nbstep_runner.cli.cell_options import CELLS, HTML_ALLOW, KERNEL_NAME, cell_fields
from nbstep_runner.cli.parameter_options import UNKNOWN_PARAMETERS, parameter_options
from nbstep_runner.cli.sections import SectionedCommand, section

if TYPE_CHECKING:
    from nbstep.runs.run import Run


@click.command("submit", cls=SectionedCommand)
@click.argument("notebook")
@click.argument("params", required=False)
@section("Parameters", *parameter_options(), UNKNOWN_PARAMETERS)
@section("Place", *PLACE, *BROUGHT)
@section(
    "Run",
    click.option("--run-id", help="Names the run; the same name twice is one run."),
    RETRIES,
    click.option("--collect", multiple=True, metavar="PATTERN", help="Store files that the notebook writes: '*.csv'."),
    KERNEL_NAME,
    click.option("--run-timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for all cells together."),
    click.option(
        "--keep-state/--no-keep-state",
        "state",
        default=None,
        help="Keep the folder NBSTEP_STATE_DIR from attempt to attempt; the profile says otherwise.",
    ),
    *CELLS,
    click.option("--html/--no-html", default=True, show_default=True, help="Write the executed notebook as HTML too."),
    HTML_ALLOW,
)
@DRY_RUN
@FOLLOW
@CANCEL
@AS_JSON
def command(notebook: str, params: str | None, **options: Any) -> int:
    """Start a run of NOTEBOOK with the parameters in PARAMS, print its string, and return at once."""
    from nbstep.api import plan, start
    from nbstep.submission.request import prepare

    prepared = prepare(_request(notebook, params, options))
    warn(prepared.warnings)
    if options["dry_run"]:
        show_plan(plan(prepared).text, prepared.image)
        return 0
    return started(start(prepared), options)


def started(run: Run, options: dict[str, Any]) -> int:
    """Tell of a run that was just started, and follow it where that is wanted."""
    from nbstep.cli.logs import follow_run

    with watching(run, cancel=options["cancel"]):
        if options["as_json"]:
            show_json({"run": str(run), "run_id": run.id, "output_uri": run.output_uri})
        else:
            click.echo(str(run))
        return follow_run(run) if options["follow"] else 0


def _request(notebook: str, params: str | None, options: dict[str, Any]) -> Any:
    from nbstep.profiles import load_profile
    from nbstep.submission.request import Request
    from nbstep_runner.contract import UnknownParameters

    return Request(
        notebook=notebook,
        profile=load_profile(options["profile"], overrides(options)),
        sources=tuple(submitted_sources(params, options)),
        files=options["files"],
        requirements=options["requirements"],
        run_id=options["run_id"],
        unknown_parameters=UnknownParameters(options["unknown_parameters"]),
        spec={
            "html": options["html"],
            **({"kernel": options["kernel"]} if options["kernel"] else {}),
            **cell_fields(options),
        },
    )
