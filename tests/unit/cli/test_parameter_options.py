"""A parameter on the command line: one word with ``=``, or two."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.cli.command import command

NAMES = st.from_regex(r"[a-z_]\w{0,5}", fullmatch=True)


def parameters(*arguments: str, **environment: str) -> tuple[tuple[str, str], ...]:
    with pytest.MonkeyPatch.context() as patch:
        for name, text in environment.items():
            patch.setenv(name, text)
        found = command.make_context("nbstep-runner", ["in", "out", *arguments]).params["parameters"]
    return tuple(found)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-p", "a=1"),
        ("-p", "a", "1"),
        ("-pa=1",),
        ("-pa", "1"),
        ("--parameters", "a=1"),
        ("--parameters=a=1",),
        ("--parameters", "a", "1"),
    ],
)
def test_a_parameter_is_one_word_or_two(arguments: tuple[str, ...]) -> None:
    assert parameters(*arguments, "-p", "b", "-5", "--html") == (("a", "1"), ("b", "-5"))


@given(NAMES, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_a_value_after_the_sign(name: str, text: str) -> None:
    assert parameters("-p", f"{name}={text}", "-q") == ((name, text),)


@given(NAMES, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_but_an_option_is_a_second_word(name: str, text: str) -> None:
    if text.startswith("--"):
        with pytest.raises(click.BadOptionUsage, match="has no value"):
            parameters("-p", name, text)
    else:
        assert parameters("-p", name, text, "-q") == ((name, text),)


def test_an_option_is_no_value() -> None:
    with pytest.raises(click.BadOptionUsage, match="'a' has no value; write a=VALUE"):
        parameters("-p", "a", "--html")
    with pytest.raises(click.BadOptionUsage, match="'a' has no value"):
        parameters("-p", "a")


def test_a_parameter_without_a_name_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="'=1' is not NAME=VALUE"):
        parameters("-p", "=1")


def test_the_environment_gives_them_in_either_form() -> None:
    assert parameters(NBSTEP_PARAMETERS="a 1 b=2 c 3") == (("a", "1"), ("b", "2"), ("c", "3"))
