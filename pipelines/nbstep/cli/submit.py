"""``nbstep submit``: start a run somewhere else, and go."""

from __future__ import annotations

from typing import Any

import click

from nbstep.cli.common import AS_JSON, WHERE
from nbstep.cli.interrupts import CANCEL, watching
from nbstep.cli.parameters import Pair, parameter_sources
from nbstep_runner.cli.parameter_options import parameter_options
from nbstep_runner.cli.sections import SectionedCommand, section
from nbstep_runner.contract import STANDARD_STREAM, ParameterSource
from nbstep_runner.errors import UsageError


@click.command("submit", cls=SectionedCommand, short_help="Start a run somewhere else, and go.")
@click.argument("notebook")
@click.argument("params", required=False)
@section(
    "Parameters",
    *parameter_options(),
    click.option(
        "--unknown-parameters",
        type=click.Choice(["error", "warn", "ignore"]),
        default="error",
        show_default=True,
        help="What to do with a parameter that the notebook does not declare.",
    ),
)
@section(
    "Place",
    click.option("--on", help="local, docker, kubernetes, or another installed backend."),
    *WHERE,
    click.option("--image", help="The image for containers and clusters."),
    click.option("--cpu", help="CPUs reserved, such as 2 or 500m."),
    click.option("--memory", help="Memory reserved and the limit, such as 4Gi."),
    click.option("--gpu", type=click.IntRange(min=0), help="GPUs."),
    click.option("--env", type=Pair(), multiple=True, help="An environment variable."),
    click.option("--file", "files", multiple=True, metavar="PATH", help="A file or folder that the notebook needs."),
    click.option(
        "--requirements",
        type=click.Path(exists=True, dir_okay=False),
        help="Requirements: built into an image, at most once; of a local run checked.",
    ),
    click.option(
        "--set",
        "fields",
        type=Pair(),
        multiple=True,
        metavar="FIELD=YAML",
        help="Any field of the profile, such as kubernetes.namespace=flights.",
    ),
)
@section(
    "Run",
    click.option("--label", type=Pair(), multiple=True, help="A label to find the run by."),
    click.option("--run-id", help="Names the run; the same name twice is one run."),
    click.option("--retries", type=click.IntRange(min=0), help="How often to start again after a passing fault."),
    click.option("-k", "--kernel", help="The kernel to use, whatever the notebook says."),
    click.option("--run-timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds for all cells together."),
    click.option("--html/--no-html", default=True, show_default=True, help="Write the executed notebook as HTML too."),
)
@click.option("--dry-run", is_flag=True, help="Print exactly what would be sent, and send nothing.")
@click.option("--wait", "follow", is_flag=True, help="Follow the log to the end; the exit code is the run's.")
@CANCEL
@AS_JSON
def command(notebook: str, params: str | None, **options: Any) -> int:
    """Start a run of NOTEBOOK with the parameters in PARAMS, print its string, and return at once."""
    from nbstep.api import plan, start
    from nbstep.submission.request import prepare

    prepared = prepare(_request(notebook, params, options))
    for warning in prepared.warnings:
        click.echo(f"nbstep: warning: {warning}", err=True)
    if options["dry_run"]:
        if prepared.image is not None:
            click.echo(f"nbstep: the image {prepared.image.name} would be built if it is not there", err=True)
        click.echo(plan(prepared).text, nl=False)
        return 0
    from nbstep.cli.logs import follow_run
    from nbstep.cli.output import show_json

    run = start(prepared)
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
        profile=load_profile(options["profile"], _overrides(options)),
        sources=tuple(_sources(params, options)),
        files=options["files"],
        requirements=options["requirements"],
        run_id=options["run_id"],
        unknown_parameters=UnknownParameters(options["unknown_parameters"]),
        spec={"html": options["html"], **({"kernel": options["kernel"]} if options["kernel"] else {})},
    )


def _overrides(options: dict[str, Any]) -> dict[str, Any]:
    """What the command line names, by the profile's fields."""
    from nbstep.profiles import merged

    groups = {
        "resources": {name: options[name] for name in ("cpu", "memory", "gpu") if options[name] is not None},
        "storage": {"endpoint_url": options["endpoint_url"]} if options["endpoint_url"] else {},
        "deadlines": {"run": options["run_timeout"]} if options["run_timeout"] else {},
        "env": dict(options["env"]),
        "labels": dict(options["label"]),
    }
    plain = {name: options[name] for name in ("on", "runs", "image", "retries")}
    named = plain | {name: values for name, values in groups.items() if values}
    for path, text in options["fields"]:
        named = merged(named, _nested(path, text))
    return named


def _nested(path: str, text: str) -> dict[str, Any]:
    """``a.b=1`` as ``{"a": {"b": 1}}``."""
    from nbstep.profiles.strict_yaml import load

    value = load(text.encode(), where=f"--set {path}")
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def _sources(params: str | None, options: dict[str, Any]) -> list[ParameterSource]:
    if params == STANDARD_STREAM:
        raise UsageError("parameters of a submitted run come from a file, not from a pipe", hint="Name the file.")
    return parameter_sources(params, options)
