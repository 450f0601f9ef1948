"""From a command line to a spec."""

from __future__ import annotations

from typing import Any

import pytest

from nbstep_runner.cli import command as module
from nbstep_runner.cli.command import command
from nbstep_runner.cli.spec import FLAGS, spec_of
from nbstep_runner.contract import STANDARD_STREAM, RunSpec, encode
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


def test_standard_streams_have_the_contracts_name() -> None:
    assert module.STANDARD_STREAM == STANDARD_STREAM


def test_the_options_defaults_are_those_of_the_spec() -> None:
    """The options are read before anything is imported that knows the spec; so they repeat its defaults."""
    spec = spec_of("in.ipynb", "out.ipynb", None, options())
    assert spec == RunSpec(run_id=spec.run_id, input_uri="in.ipynb", output_uri="out.ipynb")


@pytest.mark.parametrize("name", FLAGS)
def test_each_flag_of_the_spec_has_its_option(name: str) -> None:
    on = not getattr(RunSpec(run_id="r", input_uri="", output_uri=""), name)
    word = {"state": "keep-state"}.get(name, name.replace("_", "-"))
    spec = spec_of("in.ipynb", "out.ipynb", None, options(f"--{word}" if on else f"--no-{word}"))
    assert getattr(spec, name) is on


@pytest.mark.fault(39)
def test_paths_that_are_injected_show_no_credentials() -> None:
    spec = spec_of(
        "https://user:word@host/in.ipynb?eyJ", "sftp://me:word@host/out.ipynb", None, options("--inject-paths")
    )
    text = encode(spec.parameters).decode()
    assert "https://***@host/in.ipynb?***" in text
    assert "sftp://me:***@host/out.ipynb" in text
