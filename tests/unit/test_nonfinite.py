"""Numbers that JSON cannot write stay numbers on their way through a record."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import RunResult, RunState, SweepEvent, decode, encode
from nbstep_runner.nonfinite import read, written
from nbstep_runner.page import shown

NUMBERS = st.floats() | st.integers(-(2**53), 2**53)
VALUES = st.recursive(
    NUMBERS | st.text(max_size=4) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="ab$", max_size=3), inner, max_size=3),
    max_leaves=8,
)


def record(**results: Any) -> RunResult:
    return RunResult(
        run_id="r", attempt=1, spec_digest="", state=RunState.SUCCEEDED, input_uri="a", output_uri="b", results=results
    )


@given(VALUES)
def test_every_result_is_read_as_it_was_written(value: Any) -> None:
    data = encode(record(x=value))
    json.loads(data, parse_constant=pytest.fail)
    assert repr(decode(data, RunResult).results) == repr({"x": value})
    event = msgspec.json.decode(encode(SweepEvent(index=0, result=record(x=value))), type=SweepEvent)
    assert event.result is not None
    assert repr(event.result.results) == repr({"x": value})


def test_the_form_in_json_is_documented() -> None:
    held = json.loads(encode(record(x=[math.nan, math.inf], y=-math.inf)))["results"]
    assert held == {"x": [{"$number": "NaN"}, {"$number": "Infinity"}], "y": {"$number": "-Infinity"}}


@pytest.mark.parametrize("value", [{"$number": "12"}, {"$number": "NaN", "a": 1}, {"$number": 1}, ["NaN"], "NaN"])
def test_what_only_looks_like_one_is_left_alone(value: Any) -> None:
    assert read(value) == value
    assert written(value) == value


def test_people_see_the_number() -> None:
    assert [shown(value) for value in (math.nan, -math.inf, 1.5)] == ["nan", "-inf", "1.5"]
