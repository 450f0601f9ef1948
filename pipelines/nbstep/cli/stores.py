"""``nbstep stores``: every scheme, and what it promises."""

from __future__ import annotations

from dataclasses import asdict

import click

from nbstep.cli.output import show_json, show_table
from nbstep_runner.stores import SchemeInfo, describe


@click.command("stores")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show where notebooks can be read from and written to.

    ATOMIC: a reader never sees half an object. CONDITIONAL: of two runs that write one output, one loses.
    """
    schemes = describe()
    if as_json:
        show_json([asdict(scheme) for scheme in schemes])
        return
    show_table(("SCHEME", "INSTALLED", "ATOMIC", "CONDITIONAL", "NOTE"), map(_row, schemes))


def _row(scheme: SchemeInfo) -> tuple[str, ...]:
    installed = "yes" if scheme.installed else f"no: pip install 'nbstep[{scheme.extra}]'"
    conditional = {True: "yes", False: "no", None: "asked once"}[scheme.conditional_write]
    return f"{scheme.scheme}://", installed, "yes" if scheme.atomic_replace else "no", conditional, scheme.note
