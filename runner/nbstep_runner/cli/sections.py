"""Help in sections: options under the title that they were given, in every command of both packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

Decorator = Callable[[Any], Any]

OTHER: Final = "Options"
_TITLE: Final = "help_section"


def section(title: str, *options: Decorator) -> Decorator:
    """Give a command these options, in this order, under this title of its help."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
            setattr(command.__click_params__[-1], _TITLE, title)
        return command

    return decorate


def section_of(parameter: click.Parameter) -> str:
    """The title under which help shows an option."""
    return str(getattr(parameter, _TITLE, OTHER))


class SectionedCommand(click.Command):
    """A command whose help has a heading for each section; options of none stand under :data:`OTHER`, last."""

    def help_params(self, ctx: click.Context) -> list[click.Parameter]:
        """What help describes, in this order."""
        return self.get_params(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.help_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):  # the text above tells of the arguments
                sections.setdefault(section_of(parameter), []).append(record)
        others = sections.pop(OTHER, [])
        for title, records in (*sections.items(), (OTHER, others)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
