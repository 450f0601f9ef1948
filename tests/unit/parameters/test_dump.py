"""A file of parameters gives the values back from which it was written."""

from __future__ import annotations

import datetime as dt
import json
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nbstep_runner.contract import ParameterSource, UnknownParameters
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import SecretReference, Signature, dump_given, dump_yaml, read_signature, resolve
from nbstep_runner.parameters.kinds import PathText
from parameter_values import AWKWARD, same, values

SOURCE = """
DAY: datetime.date
MOMENT: datetime.datetime
PAIR: tuple[int, str]
OUT: Path
RATES: dict[int, float]
COUNT: int
"""


def read_back(held: dict[str, Any], signature: Signature) -> dict[str, Any]:
    written = dump_yaml(held)
    return resolve([ParameterSource.file("p")], lambda _: written, signature, unknown=UnknownParameters.ERROR).values


keys = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


def distinct_as_text(value: Any) -> bool:
    """Parameters refuse 1 and "1" as keys of one mapping, and ``None`` and "null", which JSON makes of it."""
    if isinstance(value, dict):
        names = {key if isinstance(key, str) else json.dumps(key) for key in value}
        return len(names) == len(value) and all(map(distinct_as_text, value.values()))
    return all(map(distinct_as_text, value)) if isinstance(value, list) else True


@given(st.dictionaries(st.sampled_from(["a", "yes", "null", "e1", "_1"]), values(keys=keys).filter(distinct_as_text)))
@settings(max_examples=3 * settings().max_examples)
def test_any_value_comes_back(held: dict[str, Any]) -> None:
    assert same(read_back(held, Signature()), held)


LOOKALIKES = [
    "1e3",
    "-.5e-7",
    "no",
    "012",
    "2024-01-01",
    "null",
    "~",
    "NaN",
    ".nan",
    "<<",
    "=",
    "0x1F",
    "1_000",
    "1:30",
]
AWKWARD_TEXTS = [AWKWARD, *AWKWARD, "", " x", "x ", "x\n", "\nx", "a: b", "- a", "# a", "x" * 500 + " y"]


@pytest.mark.parametrize("text", LOOKALIKES)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    held = {"a": text, "b": [text], "c": {text: text}}
    assert read_back(held, Signature()) == held


@pytest.mark.parametrize("text", AWKWARD_TEXTS)
def test_awkward_text_stays_text(text: str) -> None:
    assert read_back({"a": text}, Signature()) == {"a": text}


def test_declared_types_come_back() -> None:
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": SOURCE}
    signature = read_signature({"cells": [cell]})
    held = {
        "DAY": dt.date(2024, 1, 1),
        "MOMENT": dt.datetime(2024, 1, 1, 10, tzinfo=dt.UTC),
        "PAIR": (1, "1"),
        "OUT": PathText("gs://bucket/x/"),
        "RATES": {1: float("nan"), 2: float("inf")},
        "COUNT": SecretReference("env", "COUNT"),
    }
    assert same(read_back(held, signature), held)


def test_one_list_in_two_places_is_written_twice() -> None:
    shared = [1, 2]
    assert b"&" not in dump_yaml({"a": shared, "b": shared})


class Mode(Enum):
    FAST = "fast"


def test_what_a_caller_has_is_written_as_what_it_stands_for() -> None:
    held = {"rate": np.float32(0.5), "steps": np.int64(3), "shuffle": np.bool_(1), "at": Path("a/b"), "mode": Mode.FAST}
    held |= {"pairs": [(1, np.float64(2))], "token": {"secret": "env:TOKEN"}}
    read = {"rate": 0.5, "steps": 3, "shuffle": True, "at": "a/b", "mode": "fast", "pairs": [[1, 2.0]]}
    assert yaml.safe_load(dump_given(held)) == read | {"token": {"secret": "env:TOKEN"}}


def test_what_cannot_be_carried_is_named() -> None:
    with pytest.raises(BadInputError) as caught:
        dump_given({"a": object(), "b": 1, "c": {"d": np.array([1])}})
    lines = caught.value.message.splitlines()
    assert [line.partition(": ")[0] for line in lines[1:]] == ["  - a", "  - c"]


def test_no_parameters_are_an_empty_mapping() -> None:
    assert yaml.safe_load(dump_yaml({})) == {}
