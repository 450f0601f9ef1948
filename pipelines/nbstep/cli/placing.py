"""Where a submitted run or an endpoint takes place, and with what: options, and the profile's fields that they name."""

from __future__ import annotations

from typing import Any, Final

import click

from nbstep.cli.common import REACH, WHERE, reached
from nbstep.cli.parameters import Pair

ON: Final = click.option("--on", help="local, docker, kubernetes, server, or another installed backend.")

RETRIES: Final = click.option(
    "--retries", type=click.IntRange(min=0), help="How often to start again after a passing fault."
)
DRY_RUN: Final = click.option("--dry-run", is_flag=True, help="Print exactly what would be sent, and send nothing.")
FOLLOW: Final = click.option(
    "--wait", "follow", is_flag=True, help="Follow the log to the end; the exit code is the run's."
)

FIELDS: Final = (
    click.option("--image", help="The image for containers and clusters."),
    click.option("--cpu", help="CPUs reserved, such as 2 or 500m."),
    click.option("--memory", help="Memory reserved and the limit, such as 4Gi."),
    click.option("--gpu", type=click.IntRange(min=0), help="GPUs."),
    click.option("--env", type=Pair(), multiple=True, help="An environment variable."),
    click.option(
        "--set",
        "fields",
        type=Pair(),
        multiple=True,
        metavar="FIELD=YAML",
        help="Any field of the profile, such as kubernetes.namespace=flights.",
    ),
    click.option("--label", type=Pair(), multiple=True, help="A label to find the run by."),
)
"""Options that name fields of the profile, wherever runs are kept."""

PLACE: Final = (ON, *WHERE, *REACH, *FIELDS)
"""Options that name fields of the profile; :func:`overrides` reads them."""

BROUGHT: Final = (
    click.option("--file", "files", multiple=True, metavar="PATH", help="A file or folder that the notebook needs."),
    click.option(
        "--requirements",
        type=click.Path(exists=True, dir_okay=False),
        help="Requirements: built into an image, at most once; of a local run checked.",
    ),
)
"""Options for what a notebook brings with it."""


def overrides(options: dict[str, Any]) -> dict[str, Any]:
    """What the command line names, by the profile's fields."""
    from nbstep.profiles import merged

    groups = {
        "resources": {name: options[name] for name in ("cpu", "memory", "gpu") if options[name] is not None},
        "storage": reached(options),
        "deadlines": {
            name: options[option]
            for name, option in (("run", "run_timeout"), ("cell", "execution_timeout"))
            if options.get(option)
        },
        "env": dict(options["env"]),
        "labels": dict(options["label"]),
    }
    plain = {name: options.get(name) for name in ("on", "runs", "image", "retries", "state")}
    plain["collect"] = list(options.get("collect", ())) or None
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
