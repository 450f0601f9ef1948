"""The page for people who come from papermill names every option of papermill's, and each is taken."""

from __future__ import annotations

import re
from pathlib import Path

import click
from papermill.cli import papermill

from nbstep_runner.cli.command import command

PAGE = (Path(__file__).parents[2] / "docs/papermill.md").read_text()
OPTIONS = [
    name
    for option in papermill.params
    if isinstance(option, click.Option)
    for name in (*option.opts, *option.secondary_opts)
]


def test_every_option_is_on_the_page_and_is_taken() -> None:
    context = click.Context(command, info_name="nbstep-runner", **command.context_settings)
    ours = {name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)}
    for name in OPTIONS:
        assert name in ours, name
        assert f"`{name}`" in PAGE or "_" in name, name


def test_no_option_is_on_the_page_that_does_not_exist() -> None:
    context = click.Context(command, info_name="nbstep-runner", **command.context_settings)
    ours = {name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)}
    section = PAGE.split("## The command line")[1].split("## Python")[0]
    assert set(re.findall(r"`(--?[a-z_0-9-]*)`", section)) <= ours | set(OPTIONS) | {"-", "--"}
