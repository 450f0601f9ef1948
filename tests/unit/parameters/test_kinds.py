"""What each declared type makes of a value, and what it refuses."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters.annotations import parse_annotation
from nbstep_runner.parameters.carriable import carriable
from nbstep_runner.parameters.kinds import ANY, MismatchError, PathText
from nbstep_runner.parameters.plain import Plain, Typed
from nbstep_runner.parameters.safe_yaml import load_document
from nbstep_runner.parameters.secret import SecretReference
from parameter_values import same, values

NAN, INF = float("nan"), float("inf")


def accept(annotation: str, value: Any) -> Any:
    return parse_annotation(annotation).kind.accept(carriable(value))


def refuse(annotation: str, value: Any) -> MismatchError:
    with pytest.raises(MismatchError) as caught:
        accept(annotation, value)
    return caught.value


def from_yaml(text: str) -> Any:
    return load_document(text.encode(), where="the value")


ACCEPTED_YAML = [
    ("str", "no", "no"),
    ("str", "012", "012"),
    ("str", "1e3", "1e3"),
    ("str", "2024-01-01", "2024-01-01"),
    ("str", "true", "true"),
    ("str", "'null'", "null"),
    ("int", "012", 12),
    ("int", "-7", -7),
    ("int", "0x1F", 31),
    ("int", "0o17", 15),
    ("int", "1_000", 1000),
    ("float", "1e3", 1000.0),
    ("float", "012", 12.0),
    ("float", "5", 5.0),
    ("float", ".nan", NAN),
    ("float", "nan", NAN),
    ("float", "-.inf", -INF),
    ("float", "'Infinity'", INF),
    ("float", str(2**53 + 1), 2**53 + 1),
    ("bool", "no", False),
    ("bool", "On", True),
    ("None", "", None),
    ("None", "~", None),
    ("date", "2024-01-01", dt.date(2024, 1, 1)),
    ("date", "'2024-01-01'", dt.date(2024, 1, 1)),
    ("datetime.datetime", "2024-01-01", dt.datetime(2024, 1, 1)),  # noqa: DTZ001 - what the text says
    ("datetime.datetime", "2024-01-01T10:30:00Z", dt.datetime(2024, 1, 1, 10, 30, tzinfo=dt.UTC)),
    ("Path", "/data/x", PathText("/data/x")),
    ("Path", "012", PathText("012")),
    ("Path", "./x/", PathText("./x/")),
    ("Path", "gs://bucket/x", PathText("gs://bucket/x")),
    ("int | str", "5", 5),
    ("str | int", "5", 5),
    ("int | str", "no", "no"),
    ("bool | str", "no", False),
    ("int | None", "012", 12),
    ("str | None", "null", None),
    ("str | None", "no", "no"),
    ("float | str", "5", 5.0),
    ("date | str", "2024-01-01", dt.date(2024, 1, 1)),
    ("date | str", "tomorrow", "tomorrow"),
    ("Optional[float]", "1e3", 1000.0),
    ("Union[int, list[int]]", "[1, 2]", [1, 2]),
    ('Literal["no", "yes"]', "no", "no"),
    ("Literal[1, 2]", "2", 2),
    ('Literal["a", None]', "~", None),
    ("list[str]", "[no, 012, x]", ["no", "012", "x"]),
    ("list[int]", "[]", []),
    ("list", "[no, 012, x]", [False, 10, "x"]),
    ("tuple[int, str]", "[1, 2]", (1, "2")),
    ("tuple[float, ...]", "[1, 2e0]", (1.0, 2.0)),
    ("tuple[()]", "[]", ()),
    ("tuple", "[1, x]", (1, "x")),
    ("dict[str, float]", "{no: 1, y: 2.5}", {"no": 1.0, "y": 2.5}),
    ("dict[int, str]", "{1: a, '2': b}", {1: "a", 2: "b"}),
    ("dict", "{1: a, b: 1e3}", {1: "a", "b": 1000.0}),
    ("Any", "{a: [2024-01-01]}", {"a": ["2024-01-01"]}),
    ("pd.DataFrame", "5", 5),
    ("Any", "1e999", "1e999"),
    ("Any", "1e30", 1e30),
]


@pytest.mark.parametrize(("annotation", "text", "value"), ACCEPTED_YAML)
def test_yaml_comes_out_as_the_declared_type_says(annotation: str, text: str, value: Any) -> None:
    assert same(accept(annotation, from_yaml(text)), value)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        ("int", "1.0"),
        ("int", "1e3"),
        ("int", "true"),
        ("int", "'5'"),
        ("int", ""),
        ("int", "1:30"),
        ("float", "x"),
        ("float", "'5'"),
        ("float", "1e999"),
        ("bool", "1"),
        ("bool", "'true'"),
        ("str", "~"),
        ("str", ""),
        ("str", "[a]"),
        ("date", "2024-13-01"),
        ("date", "2024-01-01T00:00:00"),
        ("datetime", "noon"),
        ("Path", "''"),
        ("int | None", "x"),
        ('Literal["a", "b"]', "c"),
        ("Literal[1]", "'1'"),
        ("list[int]", "1"),
        ("list[int]", "[1, x]"),
        ("tuple[int, int]", "[1]"),
        ("dict[str, int]", "[a]"),
        ("dict[str, int]", "{a: x}"),
        ("dict[int, str]", "{x: a}"),
    ],
)
def test_a_value_of_another_type_is_refused(annotation: str, text: str) -> None:
    refuse(annotation, from_yaml(text))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [("int", True), ("int", 1.0), ("float", True), ("bool", 1), ("str", 5), ("list[int]", {"a": 1}), ("None", 0)],
)
def test_annotations_are_strict_with_values_of_python(annotation: str, value: Any) -> None:
    refuse(annotation, value)


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("bool", "1", True),
        ("bool", "False", False),
        ("bool", "yes", True),
        ("str", "None", "None"),
        ("str", "", ""),
        ("int | None", "None", None),
        ("str | None", "x", "x"),
        ("float", "1e-3", 0.001),
        ("list[str]", "[a, no]", ["a", "no"]),
        ("dict[str, int]", '{"a": 1}', {"a": 1}),
        ("tuple[int, ...]", "[1, 2]", (1, 2)),
        ("Any", "True", True),
        ("Any", "1e3", 1000.0),
        ("Any", "no", "no"),
        ("Any", "-inf", -INF),
        ("Any", "1e999", "1e999"),
        ("Any", "9" * 5000, "9" * 5000),
        ("Any", "[1]", "[1]"),
    ],
)
def test_a_command_line_value_comes_out_as_the_declared_type_says(annotation: str, text: str, value: Any) -> None:
    assert same(accept(annotation, Typed(text)), value)


def test_a_mismatch_says_where_and_what() -> None:
    error = refuse("dict[str, list[int]]", {"a": [1, "x" * 100]})
    assert error.path == "['a'][1]"
    assert error.reason == f"'{'x' * 38}… is not of type int"


def test_keys_that_become_the_same_are_refused() -> None:
    refuse("dict[int, str]", from_yaml("{1: a, 0x1: b}"))
    refuse("Any", from_yaml("{1: a, 0x1: b}"))


@pytest.mark.parametrize("annotation", ["int", "date", "list[int]", "Literal['a']", "int | None", "dict[str, int]"])
def test_a_secret_fits_every_type(annotation: str) -> None:
    secret = SecretReference("env", "TOKEN")
    assert accept(annotation, secret) == secret


@pytest.mark.fault(56)
def test_a_secret_is_no_pipe(tmp_path: Path) -> None:
    """Nobody writes to this one; it is read twice, here and by the notebook."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInputError, match="no regular file"):
        SecretReference("file", str(tmp_path / "pipe")).value()


def test_a_secret_inside_a_container_fits_too() -> None:
    secret = SecretReference("env", "TOKEN")
    assert accept("dict[str, int]", {"a": 1, "b": {"secret": "env:TOKEN"}}) == {"a": 1, "b": secret}


@given(values())
def test_anything_takes_json_as_it_is(value: Any) -> None:
    assert same(ANY.accept(value), value)


@given(st.floats() | st.integers())
def test_a_float_never_changes_a_number(value: float) -> None:
    found = accept("float", value) if abs(value) < 10**4000 else value
    assert found == value or found != found  # noqa: PLR0124 - NaN alone differs from itself


@given(st.text())
def test_plain_text_is_what_it_is_to_str(text: str) -> None:
    try:
        assert accept("str", Plain(text)) == text
    except MismatchError:
        assert Plain(text).value is None or any("\ud800" <= character <= "\udfff" for character in text)
