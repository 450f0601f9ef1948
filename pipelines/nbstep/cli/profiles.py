"""``nbstep profiles``: the profiles of the profiles file, checked."""

from __future__ import annotations

from typing import Any

import click

from nbstep.cli.common import AS_JSON
from nbstep.cli.output import show_json, show_table
from nbstep_runner.errors import ExitCode, NbstepError


@click.command("profiles")
@AS_JSON
def command(as_json: bool) -> int:
    """List the profiles of the profiles file, and what is wrong with each.

    The exit code is 0 only if nothing is.
    """
    from nbstep.profiles import profile_names

    rows = [_row(name) for name in profile_names()]
    if as_json:
        show_json(rows)
    elif rows:
        show_table(
            ("PROFILE", "ON", "RUNS", "IMAGE", "PROBLEM"), ([str(text or "") for text in row.values()] for row in rows)
        )
    else:
        click.echo("There is no file of profiles: nbstep.yaml here, or ~/.config/nbstep/profiles.yaml.")
    return int(ExitCode.BAD_INPUT if any(row["problem"] for row in rows) else ExitCode.SUCCEEDED)


def _row(name: str) -> dict[str, Any]:
    from nbstep.backends.registry import backend_named
    from nbstep.backends.stores import named_runs
    from nbstep.profiles import load_profile

    try:
        profile = load_profile(name, {})
        runs = named_runs(profile)
        backend_named(profile.on)
    except NbstepError as error:
        return {"profile": name, "on": None, "runs": None, "image": None, "problem": error.message}
    return {"profile": name, "on": profile.on, "runs": runs, "image": profile.image, "problem": None}
