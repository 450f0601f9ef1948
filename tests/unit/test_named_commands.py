"""Every command that a hint, a help text or a page names exists, with the options that are named with it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from nbstep.cli.main import group
from nbstep_runner.cli.command import command as runner

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = (*(ROOT / "runner").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py"))
PAGES: Final = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"))
IN_TEXT: Final = re.compile(r"(?:[`:]|with|List the runs with:|Wait for its end:) ?(nbstep [a-z]+[^`\"'\n;.,)]*)")
FENCED: Final = re.compile(r"```.*?```", re.DOTALL)
IN_PAGE: Final = re.compile(r"(?:`|^    )(nbstep(?:-runner)? [^`\n#|]*)", re.MULTILINE)
IN_BLOCK: Final = re.compile(r"^ *(nbstep(?:-runner)? [^\n#|]*)", re.MULTILINE)


def named() -> Iterator[tuple[str, str]]:
    """Where a command is named, and the command as it would be typed."""
    for path in SOURCES:
        for found in IN_TEXT.findall(path.read_text()):
            yield path.name, found
    for path in PAGES:
        text = path.read_text()
        fenced = "".join(FENCED.findall(text))
        for found in (*IN_PAGE.findall(FENCED.sub("", text)), *IN_BLOCK.findall(fenced)):
            yield path.name, found


FOUND: Final = sorted({(place, command.strip()) for place, command in named()})


def test_there_are_some() -> None:
    assert {"launcher.md", "README.md", "errors.py"} <= {place for place, _ in FOUND}


@pytest.mark.parametrize(("place", "typed"), FOUND)
def test_a_command_that_is_named_exists(place: str, typed: str) -> None:
    try:
        words = shlex.split(typed.replace("…", "").replace("'", ""))
    except ValueError:
        words = typed.split()
    program, *rest = words
    command: click.Command | None = runner
    if program == "nbstep" and rest and re.fullmatch(r"[a-z]+", rest[0]):
        command = group.get_command(click.Context(group), rest[0])
        assert command is not None, f"{place} names {typed!r}, and there is no such command"
        rest = rest[1:]
    assert command is not None
    if not any(isinstance(each, click.Argument) for each in command.params):
        assert not rest or rest[0].startswith(("-", "[")), f"{place} names {typed!r}, which takes no argument"
    options = {name for each in (*_options(command), *_further(command)) for name in _names(each)}
    named_options = {word.partition("=")[0] for word in rest if re.fullmatch(r"--[a-z][a-z_-]*(=.*)?", word)}
    assert named_options <= options | {"--help"}, f"{place} names {typed!r}"


def _options(command: click.Command) -> list[click.Parameter]:
    return command.get_params(click.Context(command, **command.context_settings))


def _further(command: click.Command) -> list[click.Parameter]:
    """`nbstep run` takes the runner's options too."""
    return _options(runner) if command.name == "run" else []


def _names(parameter: click.Parameter) -> tuple[str, ...]:
    return (*parameter.opts, *parameter.secondary_opts)
