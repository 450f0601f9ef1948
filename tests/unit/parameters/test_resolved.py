"""Resolved parameters as records, digests and secrets to mask."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import Resolved, SecretReference
from nbstep_runner.parameters.kinds import PathText
from parameter_values import same, texts, values

TOKEN = SecretReference("env", "NBSTEP_TEST_TOKEN")


def test_json_holds_everything_and_no_secret() -> None:
    held = {
        "a": [TOKEN, float("nan"), float("inf"), -float("inf")],
        "b": (1, dt.date(2024, 1, 1)),
        "c": PathText("/x"),
        "d": {1: 2**70, None: 1.5, False: "x"},
    }
    assert Resolved(held).as_json() == {
        "a": [{"secret": "env:NBSTEP_TEST_TOKEN"}, "NaN", "Infinity", "-Infinity"],
        "b": [1, "2024-01-01"],
        "c": "/x",
        "d": {"1": 2**70, "null": 1.5, "false": "x"},
    }


@given(st.dictionaries(texts, values()))
def test_json_is_strict_json(held: dict[str, Any]) -> None:
    as_json = Resolved(held).as_json()
    assert same(json.loads(json.dumps(as_json, allow_nan=False)), as_json)


def test_the_digest_is_of_values_not_of_their_order() -> None:
    one = Resolved({"a": 1, "b": {"x": [1], "y": 2}}, ("a warning",))
    other = Resolved({"b": {"y": 2, "x": [1]}, "a": 1})
    assert one.digest() == other.digest()
    assert one.digest().startswith("sha256:")
    assert len(one.digest()) == 71


DIFFERENT: list[Any] = [1, 1.0, True, "1", None, "None", [1], (1,), {"1": 1}, {1: 1}, [[1]], [], {}, "", 0.0, -0.0]
DIFFERENT += [float("nan"), float("inf"), TOKEN, TOKEN.as_json(), "secret:env:NBSTEP_TEST_TOKEN", dt.date(2024, 1, 1)]
DIFFERENT += ["2024-01-01", PathText("/x"), "/x", ["list", "int:1"], "int:1", ["int:1"]]


def test_different_values_have_different_digests() -> None:
    digests = [Resolved({"a": value}).digest() for value in DIFFERENT]
    assert len(set(digests)) == len(DIFFERENT)


@given(values(), values())
def test_digests_agree_exactly_where_values_do(left: Any, right: Any) -> None:
    def in_any_order(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: in_any_order(value[key]) for key in sorted(value)}
        return [in_any_order(item) for item in value] if isinstance(value, list) else value

    equal = same(in_any_order(left), in_any_order(right))
    assert (Resolved({"a": left}).digest() == Resolved({"a": right}).digest()) == equal


def test_secrets_are_read_for_masking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NBSTEP_TEST_TOKEN", "hunter2")
    file = tmp_path / "token"
    file.write_bytes(b"line\r\nlast\n\n")
    held = {"a": TOKEN, "b": [{"c": SecretReference("file", str(file))}], "d": (TOKEN,)}
    assert Resolved(held).secret_values() == ("hunter2", "line\r\nlast\n")


@pytest.mark.parametrize(
    ("content", "state"), [(None, "not there"), (b"", "empty"), (b"\n", "empty"), (b"\xff", "not UTF-8")]
)
def test_a_secret_that_cannot_be_read_is_named_by_its_place(tmp_path: Path, content: bytes | None, state: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadInputError) as caught:
        Resolved({"a": SecretReference("file", str(file)), "b": TOKEN}).secret_values()
    assert state in caught.value.message
    assert str(file) in caught.value.message
    assert "NBSTEP_TEST_TOKEN is not set" in caught.value.message


def test_a_directory_or_a_huge_file_is_no_secret(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        SecretReference("file", str(tmp_path)).value()
    huge = tmp_path / "huge"
    huge.write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(BadInputError, match="larger than"):
        SecretReference("file", str(huge)).value()


@pytest.mark.parametrize(
    ("source", "name"),
    [("env", ""), ("env", "A B"), ("env", "A=1"), ("file", "relative"), ("file", "/a\nb"), ("web", "x")],
)
def test_a_reference_is_a_place(source: Any, name: str) -> None:
    with pytest.raises(BadInputError, match="a secret is written"):
        SecretReference(source, name)
