"""``nbstep doctor``: whether runs can take place as a profile says."""

from __future__ import annotations

from dataclasses import asdict

import click

from nbstep.cli.common import AS_JSON, Storage, chosen, where
from nbstep.cli.output import show_json, show_table
from nbstep_runner.errors import ExitCode


@click.command("doctor")
@where
@click.option("--deep", is_flag=True, help="Make a small run there too, and remove it; a local profile always does.")
@AS_JSON
def command(profile: str | None, runs: str | None, storage: Storage, deep: bool, as_json: bool) -> int:
    """Say in a table what works for runs of a profile, and what to do about what does not.

    The exit code is 0 only if all of it works.
    """
    from nbstep.api import start
    from nbstep.submission.checkup import check_up

    findings = list(check_up(chosen(profile, runs, storage), start, deep=deep))
    if as_json:
        show_json([asdict(each) for each in findings])
    else:
        rows = (("ok" if not each.remedy else "no", each.name, each.words, each.remedy) for each in findings)
        show_table(("", "WHAT", "FOUND", "WHAT TO DO"), rows)
    return int(ExitCode.KERNEL_UNAVAILABLE if any(each.remedy for each in findings) else ExitCode.SUCCEEDED)
