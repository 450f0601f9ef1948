"""From a command line to a spec."""

from __future__ import annotations

from typing import Any

import pytest

from nbstep_runner.cli.command import command
from nbstep_runner.cli.spec import spec_of
from nbstep_runner.errors import UsageError


def options(*arguments: str) -> dict[str, Any]:
    """The command line's values by name, as the command gets them."""
    with command.make_context("nbstep-runner", [*arguments]) as context:
        return context.params


@pytest.mark.parametrize("arguments", [("--run-id", "r\udcff"), ("--label", "a=\udcff"), ("-r", "x", "\udcff")])
def test_what_is_not_utf8_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="not UTF-8"):
        spec_of("in.ipynb", "out.ipynb", None, options(*arguments))
    with pytest.raises(UsageError, match="not UTF-8"):
        spec_of("in\udcff.ipynb", "out.ipynb", None, options())


def test_text_of_any_language_is_taken() -> None:
    spec = spec_of("größe.ipynb", "日本.ipynb", None, options("--label", "team=größe"))
    assert (spec.input_uri, spec.labels) == ("größe.ipynb", {"team": "größe"})
