"""``-p NAME VALUE`` and ``-p NAME=VALUE``: the options for parameters, read alike by every command of both packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import click

_METAVAR: Final = "NAME=VALUE"


class Assignment(click.Option):
    """An option that takes a parameter as one word, ``NAME=VALUE``, or as two, ``NAME VALUE``.

    A name holds no ``=``, so the first word tells which. A second word that begins with ``--`` is an option and no
    value, because one that was forgotten would otherwise swallow it; ``NAME=--VALUE`` gives such a value. The option's
    value is a list of pairs of name and text. In the environment the words stand one after the other.
    """

    def __init__(self, names: Sequence[str], **attributes: Any) -> None:
        super().__init__(names, multiple=True, type=click.UNPROCESSED, metavar=_METAVAR, **attributes)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser hand over the words after the option, one or two."""
        super().add_to_parser(parser, ctx)
        for name in self.opts:
            option = parser._short_opt.get(name) or parser._long_opt[name]  # noqa: SLF001 - click has no option of one word or two
            option.process = self._taking_one_or_two(option.process)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The pairs; of a default too."""
        return tuple(each if isinstance(each, tuple) else self._split(each, ctx) for each in value or ())

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """The pairs that the environment gives."""
        text = self.resolve_envvar_value(ctx)
        return None if text is None else tuple(self._pairs(iter(text.split()), ctx))

    def _pairs(self, words: Iterator[str], ctx: click.Context) -> Iterator[tuple[str, str]]:
        for word in words:
            yield self._split(word if "=" in word else f"{word}={next(words, '')}", ctx)

    def _taking_one_or_two(self, process: Callable[[str, Any], None]) -> Callable[[str, Any], None]:
        def one_or_two(word: str, state: Any) -> None:
            if "=" not in word:
                following = state.rargs[:1]
                if not following or following[0].startswith("--"):
                    raise click.BadOptionUsage(
                        self.opts[0], f"Option {self.opts[0]!r}: {word!r} has no value; write {word}=VALUE."
                    )
                word = f"{word}={state.rargs.pop(0)}"
            process(word, state)

        return one_or_two

    def _split(self, word: str, ctx: click.Context) -> tuple[str, str]:
        name, _, text = word.partition("=")
        if not name:
            raise click.BadParameter(f"{word!r} is not {_METAVAR}", ctx=ctx, param=self)
        return name, text


def parameter_options(of: str = "") -> tuple[Callable[[Any], Any], ...]:
    """The options of papermill that give parameters; ``of`` ends their help, such as " of all runs"."""
    return (
        click.option("-p", "--parameters", cls=Assignment, help=f"A parameter{of}; NAME VALUE in two words too."),
        click.option("-r", "--parameters_raw", cls=Assignment, help="One that stays text."),
        click.option("-f", "--parameters_file", multiple=True, metavar="URI", help=f"A YAML file of parameters{of}."),
        click.option("-y", "--parameters_yaml", multiple=True, metavar="YAML", help=f"Parameters{of} as YAML."),
    )


UNKNOWN_PARAMETERS: Final = click.option(
    "--unknown-parameters",
    type=click.Choice(["error", "warn", "ignore"]),
    default="error",
    show_default=True,
    help="What to do with a parameter that the notebook does not declare.",
)
