"""Sizes and times of a command line: what people write, and nothing that no clock or counter can hold."""

from __future__ import annotations

import math
from contextlib import suppress

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.cli.command import command
from nbstep_runner.cli.options import LONGEST_SECONDS, POSITIVE, SECONDS, Size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1000", 1000), ("64k", 65536), ("1.5K", 1536), ("16M", 2**24), ("16MiB", 2**24), (" 1gb ", 2**30)],
)
def test_a_size_as_people_write_it(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "inf", "nan", "-5M", "1e400", "5mmm", "1kg", "k", "5i k", "0x10"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size such as 16M"):
        Size().convert(text, None, None)


def test_no_size_is_larger_than_numbers() -> None:
    with pytest.raises(click.BadParameter, match="is larger than any memory"):
        Size().convert("9" * 400, None, None)


@given(st.text(max_size=8))
def test_any_other_text_is_a_size_or_refused(text: str) -> None:
    with suppress(click.BadParameter):
        assert Size().convert(text, None, None) >= 0


@pytest.mark.parametrize("kind", [SECONDS, POSITIVE])
@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e300", "soon"])
def test_what_no_clock_can_wait_for_is_refused(kind: click.ParamType[float], text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)


def test_seconds_of_any_usual_length_are_taken() -> None:
    assert [SECONDS.convert(text, None, None) for text in ("0", "0.5", "1e9")] == [0, 0.5, LONGEST_SECONDS]
    assert math.isclose(POSITIVE.convert("1e-9", None, None), 1e-9)


def test_every_option_is_given_by_the_environment_under_its_long_name() -> None:
    for option in command.params:
        if isinstance(option, click.Option):
            long = next(name for name in option.opts if name.startswith("--"))
            variable = option.envvar or f"NBSTEP_{str(option.name).upper()}"
            assert variable == f"NBSTEP_{long[2:].replace('-', '_').upper()}"
