"""``docs/cli.md``, made from the commands themselves: ``make`` it anew with ``python -m support.cli_reference``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import click

from nbstep.cli.main import group
from nbstep_runner.cli.command import command as runner

PAGE = Path(__file__).parents[2] / "docs/cli.md"
HEAD = """\
# The command line

`nbstep` is for people, `nbstep-runner` is what runs inside a container. `nbstep run` takes every option of
`nbstep-runner`. The exit codes are [one table](architecture.md#exit-codes). Every option of `nbstep-runner` can be
given by the environment as `NBSTEP_` and its long name in capitals. This page is made from the commands.
"""


def reference() -> str:
    """The page's text."""
    context = click.Context(group, info_name="nbstep", max_content_width=100, terminal_width=100)
    sections = [HEAD]
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        sections.append(section(found, f"nbstep {name}", context))
    sections.append(section(runner, "nbstep-runner", None))
    return "\n".join(sections)


def section(command: click.Command, name: str, parent: click.Context | None) -> str:
    command = copy(command)
    command._help_option = None  # click keeps that of the context in which the command was first used
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent, **command.context_settings)
    usage = " ".join(command.collect_usage_pieces(context))
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    lines = [f"## {name}", "", f"    {name} {usage}", "", *text.splitlines(), ""]
    rows = list(_rows(command, context))
    if rows:
        lines += ["| option | meaning |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _rows(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            names, meaning = (re.sub(r"\s+", " ", each).replace("|", "\\|") for each in record)
            yield f"| `{names}` | {meaning} |"


if __name__ == "__main__":
    PAGE.write_text(reference())
