"""A group of commands that imports none of them until it is asked for."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import click


class LazyGroup(click.Group):
    """Commands by name, each with the line that ``--help`` shows for it, in sections.

    A command ``name`` is the object ``command`` of the module ``nbstep.cli.name``. Hidden ones are for engines, not for
    people.
    """

    def __init__(
        self, *args: Any, sections: Mapping[str, Mapping[str, str]], hidden: frozenset[str] = frozenset(), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.hidden_commands = hidden
        self.sections = sections
        self.lines = {name: line for lines in sections.values() for name, line in lines.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """The names, in the order in which a newcomer needs them."""
        return list(self.lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's interface
        """The command of that name."""
        if cmd_name not in self.lines and cmd_name not in self.hidden_commands:
            return None
        gc.disable()  # what an import makes is there to stay: the collector would look through it in vain
        try:
            found = cast("click.Command", import_module(f"nbstep.cli.{cmd_name.replace('-', '_')}").command)
        finally:
            gc.enable()
        found.short_help = self.lines.get(cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's interface
        """The list of commands in ``--help``, the lines of all sections one below the other."""
        width = max(map(len, self.lines))
        for title, lines in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, line in lines.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; a misspelt name gets a suggestion.

        Raises:
            click.UsageError: There is no such command.
        """
        if args[0] not in self.lines and args[0] not in self.hidden_commands and not args[0].startswith("-"):
            from difflib import get_close_matches

            for near in get_close_matches(args[0], self.lines, n=1):
                raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near!r}?", ctx)
        return super().resolve_command(ctx, args)
