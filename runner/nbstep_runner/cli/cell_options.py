"""Which cells run, on what, and what counts as a failure: the same options wherever a run is asked for."""

from __future__ import annotations

from typing import Any, Final

import click

CELLS: Final = (
    click.option("--only-tag", multiple=True, metavar="TAG", help="Run only code cells with this tag, and parameters."),
    click.option("--skip-tag", multiple=True, metavar="TAG", help="Skip code cells with this tag."),
    click.option("--allow-errors/--no-allow-errors", default=False, help="Go on after a cell that raised."),
    click.option("--strict-shell", is_flag=True, help="A cell with a command (!) that fails has failed."),
    click.option(
        "--error-cells/--no-error-cells", default=True, help="Mark the failing cell as papermill does, by two cells."
    ),
)

KERNEL_NAME: Final = click.option("-k", "--kernel", help="The kernel to use, whatever the notebook says.")
HTML_ALLOW: Final = click.option(
    "--html-allow",
    type=click.Choice(["nothing", "scripts", "remote"]),
    default="nothing",
    show_default=True,
    help="Let the page run the notebook's scripts, and fetch something (remote).",
)


def cell_fields(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of a ``RunSpec`` that these options are."""
    from nbstep_runner.contract import HtmlAllow

    return {
        "html_allow": HtmlAllow(options["html_allow"]),
        "only_tags": options["only_tag"],
        "skip_tags": options["skip_tag"],
        **{name: options[name] for name in ("allow_errors", "strict_shell", "error_cells")},
    }
