"""``nbstep serve``: a notebook as an endpoint."""

from __future__ import annotations

from typing import Any

import click

from nbstep.cli.common import AS_JSON
from nbstep.cli.output import show_json, warn
from nbstep.cli.parameters import Pair, submitted_sources
from nbstep.cli.placing import BROUGHT, DRY_RUN, PLACE, overrides
from nbstep_runner.cli.parameter_options import parameter_options
from nbstep_runner.cli.sections import SectionedCommand, section


@click.command("serve", cls=SectionedCommand)
@click.argument("notebook")
@click.argument("params", required=False)
@section("Parameters", *parameter_options())
@section("Place", *PLACE, *BROUGHT)
@section(
    "Endpoint",
    click.option("--name", help="Names the endpoint and its model; the same name again takes over on a cluster."),
    click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=0,
        show_default=True,
        help="Of this machine, 0 for a free one; of a cluster's Service, 0 for 80.",
    ),
    click.option(
        "--service",
        type=click.Choice(["ClusterIP", "NodePort", "LoadBalancer"]),
        default="ClusterIP",
        show_default=True,
        help="The kind of a cluster's Service.",
    ),
    click.option("--replicas", type=click.IntRange(min=1), default=1, show_default=True, help="Pods of a cluster."),
    click.option(
        "--limit",
        type=Pair(),
        multiple=True,
        metavar="NAME=NUMBER",
        help="body_bytes, request_seconds, concurrency or waiting.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=600.0,
        show_default=True,
        help="Seconds until it has to answer.",
    ),
)
@DRY_RUN
@AS_JSON
def command(notebook: str, params: str | None, **options: Any) -> int:
    """Serve what NOTEBOOK offers with the parameters in PARAMS, and return once it answers.

    It goes on serving until `nbstep delete` ends it.
    """
    from nbstep.endpoints.api import planned, planned_text, start

    deployment = planned(*_asked(notebook, params, options))
    warn(deployment.warnings)
    if options["dry_run"]:
        click.echo(planned_text(deployment), nl=False)
        return 0
    endpoint = start(deployment)
    click.echo(f"nbstep: {endpoint.name} is starting; `nbstep delete {endpoint.name}` ends it", err=True)
    endpoint.wait(options["timeout"])
    if options["as_json"]:
        show_json({"name": endpoint.name, "url": endpoint.url, "handle": endpoint.handle})
    else:
        click.echo(f"{endpoint.name}: serving at {endpoint.url}")
    return 0


def _asked(notebook: str, params: str | None, options: dict[str, Any]) -> tuple[Any, ...]:
    from nbstep.profiles import load_profile
    from nbstep.profiles.exposure import Exposure
    from nbstep.profiles.strict_yaml import load
    from nbstep.submission.request import Request

    request = Request(
        notebook=notebook,
        profile=load_profile(options["profile"], overrides(options)),
        sources=tuple(submitted_sources(params, options)),
        files=options["files"],
        requirements=options["requirements"],
    )
    limits = {name: load(text.encode(), where=f"--limit {name}") for name, text in options["limit"]}
    exposure = Exposure(port=options["port"], service=options["service"], replicas=options["replicas"])
    return request, options["name"], limits, exposure
