"""Merging, typing and checking what a run is given."""

from __future__ import annotations

import datetime as dt
import enum
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import ParameterSource, UnknownParameters
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.parameters import Resolved, SecretReference, Signature, dump_yaml, read_signature, resolve, value_of
from nbstep_runner.parameters.kinds import PathText
from parameter_values import same, translate, values

SOURCE = """
BUCKET: str
REGION = 'us-central1'
DEVELOP_MODE = True
NBUCKETS = 5
RATE: float = 0.1
DAY: datetime.date = None
OUT = Path("/tmp")
ANYTHING = None
"""
UNDECLARED = Signature()


def signature(source: str = SOURCE, language: str | None = None) -> Signature:
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": source}
    return read_signature({"metadata": {}, "cells": [cell]}, language=language)


def resolved(
    *sources: ParameterSource,
    against: Signature | None = None,
    files: dict[str, bytes] | None = None,
    unknown: UnknownParameters = UnknownParameters.ERROR,
) -> Resolved:
    return resolve(sources, (files or {}).__getitem__, UNDECLARED if against is None else against, unknown=unknown)


def refused(*sources: ParameterSource, against: Signature | None = None, **rest: Any) -> BadInputError:
    with pytest.raises(BadInputError) as caught:
        resolved(*sources, against=against, **rest)
    return caught.value


def problems(error: BadInputError) -> list[str]:
    _, _, listed = error.message.partition("do not fit the notebook:")
    return [line.removeprefix("  - ").strip() for line in listed.strip("\n").splitlines()]


def test_later_sources_win_as_papermill_orders_them() -> None:
    """papermill's order is -b, -f, -y, -p, -r."""
    order = [
        ParameterSource.yaml("{a: b64, b: b64, c: b64, d: b64, e: b64}"),
        ParameterSource.file("p.yaml"),
        ParameterSource.yaml("{c: yaml, d: yaml, e: yaml}"),
        ParameterSource.typed("d", "5"),
        ParameterSource.typed("e", "5"),
        ParameterSource.raw("e", "5"),
    ]
    found = resolved(*order, files={"p.yaml": b"{b: file, c: file, d: file, e: file}"})
    assert found.values == {"a": "b64", "b": "file", "c": "yaml", "d": 5, "e": "5"}


def test_a_value_that_loses_is_not_checked() -> None:
    found = resolved(ParameterSource.yaml("BUCKET: [1]"), ParameterSource.typed("BUCKET", "b"), against=signature())
    assert found.values == {"BUCKET": "b"}


def test_declared_types_decide_what_text_is() -> None:
    text = "BUCKET: 012\nREGION: no\nNBUCKETS: 012\nRATE: 1e3\nDAY: 2024-01-02\nOUT: /data\nANYTHING: 2024-01-02"
    found = resolved(ParameterSource.yaml(text), against=signature())
    assert same(
        found.values,
        {
            "BUCKET": "012",
            "REGION": "no",
            "NBUCKETS": 12,
            "RATE": 1000.0,
            "DAY": dt.date(2024, 1, 2),
            "OUT": PathText("/data"),
            "ANYTHING": "2024-01-02",
        },
    )
    assert found.warnings == ()


def test_defaults_are_lenient() -> None:
    found = resolved(
        ParameterSource.values({"BUCKET": "b", "NBUCKETS": 2.5, "ANYTHING": {"a": [1]}}), against=signature()
    )
    assert found.values == {"BUCKET": "b", "NBUCKETS": 2.5, "ANYTHING": {"a": [1]}}


def test_a_path_by_default_may_be_a_uri_as_text() -> None:
    uri = ParameterSource.yaml("{BUCKET: b, OUT: gs://bucket/x}")
    assert same(resolved(uri, against=signature()).values, {"BUCKET": "b", "OUT": "gs://bucket/x"})


@pytest.mark.parametrize(
    ("source", "given", "held"),
    [
        ("x = {1, 2}", "{x: [2, 1, 2]}", {1, 2}),
        ("x = set()", "{x: [a, b]}", {"a", "b"}),
        ("x = frozenset({'a'})", "{x: [b]}", frozenset({"b"})),
        ("x: set[int] = set()", "{x: ['1', 2]}", None),
        ("x: set[Path] = {Path('a')}", "{x: [b]}", {PathText("b")}),
        ("x: set[int] = {1}", "{x: []}", set()),
        ("x = {1}", "{x: [[1]]}", None),
        ("x = {1}", "{x: {a: 1}}", None),
        ("x = list()", "{x: [1]}", [1]),
        ("x = dict(a=1)", "{x: {b: 2}}", {"b": 2}),
    ],
)
def test_a_set_is_given_as_a_list_and_stays_a_set(source: str, given: str, held: Any) -> None:
    against = signature(source)
    if held is None:
        refused(ParameterSource.yaml(given), against=against)
        return
    found = resolved(ParameterSource.yaml(given), against=against)
    assert same(found.values["x"], held)
    namespace: dict[str, Any] = {"Path": Path}
    exec(translate(found.values, "python"), namespace)  # noqa: S102 - what the kernel does
    assert type(namespace["x"]) is type(held)
    assert {str(one) for one in namespace["x"]} == {str(one) for one in held}
    again = resolved(ParameterSource.yaml(dump_yaml(found.values).decode()), against=against)
    assert (again.values, again.digest()) == (found.values, found.digest())
    json.dumps(found.as_json())


def test_the_runs_own_paths_need_no_declaration() -> None:
    paths = {"PAPERMILL_INPUT_PATH": "in", "PAPERMILL_OUTPUT_PATH": "out"}
    for against in (signature("x = 1"), signature(""), UNDECLARED):
        found = resolved(ParameterSource.values(paths), against=against)
        assert (found.values, found.warnings) == (paths, ())


def test_defaults_still_have_a_type() -> None:
    error = refused(
        ParameterSource.yaml("{BUCKET: b, NBUCKETS: many, REGION: ~, DEVELOP_MODE: 1}"), against=signature()
    )
    assert problems(error) == [
        "NBUCKETS: 'many' is not of type int (its default is 5)",
        "REGION: null is not of type str (its default is 'us-central1')",
        "DEVELOP_MODE: '1' is not of type bool (its default is True)",
    ]


def test_every_problem_is_reported_at_once() -> None:
    error = refused(
        ParameterSource.yaml("{NBUKETS: 5, RATE: fast}"),
        ParameterSource.values({"x=1; import os": 1, "class": 2, "OUT": {"set"}}),
        against=signature(),
    )
    assert sorted(problems(error)) == [
        "'class': a reserved word of Python",
        "'x=1; import os': not a valid name in Python",
        "BUCKET: no value is given, and the notebook declares no default",
        "NBUKETS: the notebook declares no such parameter; did you mean NBUCKETS?",
        """OUT: a list of 1 is not of type Path (its default is Path("/tmp"))""",
        "RATE: 'fast' is not of type float",
    ]
    assert "BUCKET, REGION" in error.hint


def test_one_problem_is_one_line() -> None:
    assert "\n" not in refused(ParameterSource.typed("RATE", "x"), against=signature("RATE = 1.0")).message


def test_endless_problems_are_counted() -> None:
    error = refused(ParameterSource.values({f"x {n}": n for n in range(1000)}))
    assert len(problems(error)) == 21
    assert problems(error)[-1] == "and 980 more"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("bucket", "; did you mean BUCKET?"), ("DEVELOPMODE", "; did you mean DEVELOP_MODE?"), ("xyz", "")],
)
def test_an_unknown_name_is_refused_with_a_suggestion(name: str, suggestion: str) -> None:
    error = refused(ParameterSource.values({"BUCKET": "b", name: 1}), against=signature())
    assert problems(error) == [f"{name}: the notebook declares no such parameter{suggestion}"]


def test_unknown_names_can_be_let_through() -> None:
    sources = [ParameterSource.values({"BUCKET": "b", "MORE": 1})]
    warned = resolved(*sources, against=signature(), unknown=UnknownParameters.WARN)
    assert warned == Resolved({"BUCKET": "b", "MORE": 1}, ("MORE: the notebook declares no such parameter",))
    ignored = resolved(*sources, against=signature(), unknown=UnknownParameters.IGNORE)
    assert ignored == Resolved({"BUCKET": "b", "MORE": 1})


def test_without_a_parameters_cell_nothing_is_unknown_but_said() -> None:
    found = resolved(ParameterSource.values({"a": 1}))
    assert found.values == {"a": 1}
    (warning,) = found.warnings
    assert "no code cell tagged 'parameters'" in warning
    assert resolved().warnings == ()


def test_where_a_cell_cannot_be_inspected_nothing_is_unknown_but_said() -> None:
    found = resolved(ParameterSource.values({"a": 1}), against=signature("a <- 5", language="R"))
    (warning,) = found.warnings
    assert "cannot be inspected" in warning


@pytest.mark.parametrize(
    "name",
    ["", "1x", "a b", "a\nb", "a;b", "a.b", "x=1", "import", "None", "__debug__", "ﬁ", "x\u202e", "a-b", "é\ud800"],
)
def test_a_name_that_is_no_identifier_is_refused(name: str) -> None:
    assert ascii(name) in refused(ParameterSource.values({name: 1})).message


@pytest.mark.parametrize(
    "source", [ParameterSource.typed("x=1", "1"), ParameterSource.raw("x=1", "1"), ParameterSource.yaml("x=1: 1")]
)
def test_no_source_lets_code_through_as_a_name(source: ParameterSource) -> None:
    refused(source, unknown=UnknownParameters.IGNORE)


@pytest.mark.parametrize(
    ("language", "good", "bad"),
    [
        ("bash", ["PATH_TO", "x"], ["UID", "a.b", "é", "IFS"]),
        ("R", [".x", "a.b", "_x", "T"], [".1", "if", "TRUE", "_", "_1", "..."]),
        ("julia", ["x"], ["end", "x!", "é"]),
        ("scala", ["x"], ["val", "_", "a-b"]),
        ("matlab", ["x", "x" * 63], ["_x", "end", "x" * 64]),
        ("csharp", ["x"], ["class", "x-y"]),
        ("ocaml", ["x"], ["x y", "é"]),
    ],
)
def test_names_follow_the_notebooks_language(language: str, good: list[str], bad: list[str]) -> None:
    against = Signature(language=language)
    assert list(resolved(ParameterSource.values(dict.fromkeys(good, 1)), against=against).values) == good
    for name in bad:
        refused(ParameterSource.values({name: 1}), against=against)


class Colour(enum.Enum):
    RED = "red"


class Mode(enum.StrEnum):
    FAST = "fast"


def test_values_of_python_become_what_they_hold() -> None:
    given_values = {"a": (1, 2), "b": Colour.RED, "c": Mode.FAST, "d": Path("/x"), "e": dt.date(2024, 1, 1)}
    found = resolved(ParameterSource.values(given_values))
    assert same(found.values, {"a": [1, 2], "b": "red", "c": "fast", "d": "/x", "e": "2024-01-01"})


def test_numbers_of_numpy_become_numbers_of_python() -> None:
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    given_values = {"a": numpy.int64(5), "b": numpy.float32(0.5), "c": numpy.bool_(1), "d": numpy.str_("x")}
    assert same(resolved(ParameterSource.values(given_values)).values, {"a": 5, "b": 0.5, "c": True, "d": "x"})
    moment = resolved(ParameterSource.values({"a": pandas.Timestamp("2024-01-01")})).values
    assert same(moment, {"a": "2024-01-01T00:00:00"})


@pytest.mark.parametrize("zone", ["", "+02:00", "Z"])
def test_a_moment_finer_than_a_microsecond_is_refused_not_rounded(zone: str) -> None:
    pandas = pytest.importorskip("pandas")
    exact = pandas.Timestamp(f"2026-01-02T03:04:05.123456{zone}")
    assert resolved(ParameterSource.values({"a": exact})).values == {"a": exact.isoformat()}
    finer = pandas.Timestamp(f"2026-01-02T03:04:05.123456789{zone}")
    with pytest.raises(BadInputError, match="finer than a microsecond"):
        resolved(ParameterSource.values({"a": finer}))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"x", "type bytes"),
        (1j, "type complex"),
        (object(), "type object"),
        (len, "type builtin_function_or_method"),
        ("\ud800", "surrogate"),
        pytest.param(10**5000, "digits", id="huge integer"),
        ({1: "a", "1": "b"}, "two keys"),
        ([[b"x"]], "type bytes"),
        ({"secret": "hunter2"}, "a secret is written"),
        ({"secret": 5}, "a secret is written"),
        ({"secret": "env:NOT A NAME"}, "a secret is written"),
        ({"secret": "file:relative"}, "a secret is written"),
        pytest.param([0] * 60_000, "more than 50000 values", id="many values"),
    ],
)
def test_what_no_notebook_can_be_given_is_refused(value: Any, reason: str) -> None:
    error = refused(ParameterSource.values({"x": value}))
    assert reason in error.message
    assert "hunter2" not in error.message


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert "levels deep" in refused(ParameterSource.values({"x": endless})).message


def test_a_file_is_named_without_its_credentials() -> None:
    uri = "https://user:password@host/params.yaml?token=abc"
    error = refused(ParameterSource.file(uri), files={uri: b"[1]"})
    assert "host/params.yaml" in error.message
    assert "password" not in error.message
    assert "abc" not in error.message


def test_what_reading_raises_passes_through() -> None:
    def read(uri: str) -> bytes:
        raise InputNotFoundError(f"{uri} does not exist")

    with pytest.raises(InputNotFoundError):
        resolve([ParameterSource.file("p.yaml")], read, UNDECLARED, unknown=UnknownParameters.ERROR)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3).filter(lambda name: name != "as"), values()))
def test_any_json_value_comes_through_as_it_is(mapping: dict[str, Any]) -> None:
    from_values = resolved(ParameterSource.values(mapping)).values
    assert same(from_values, mapping)
    assert same(resolved(ParameterSource.file("p"), files={"p": json.dumps(mapping).encode()}).values, mapping)


@given(st.text(max_size=10) | st.text(st.sampled_from("ab_1 .;=\n"), max_size=6))
def test_any_name_is_an_identifier_or_refused(name: str) -> None:
    try:
        found = resolved(ParameterSource.values({name: 1}))
    except BadInputError:
        return
    namespace: dict[str, Any] = {}
    exec(f"{name} = 1", {}, namespace)  # noqa: S102 - the property is that this is an assignment and nothing else
    assert namespace == found.values


def test_nothing_of_papermill_is_imported_for_a_python_notebook() -> None:
    code = (
        "import sys; from nbstep_runner.parameters import read_signature;"
        "read_signature({'cells': [{'cell_type': 'code', 'metadata': {'tags': ['parameters']}, 'source': 'x = 1'}]});"
        "print([name for name in ('papermill', 'nbformat', 'IPython', 'yaml', 'numpy') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"


def test_secrets_stay_references() -> None:
    text = "TOKEN: {secret: env:TOKEN}\nBUCKET: {secret: file:/run/b}\nANYTHING: [{deep: {secret: 'env:X'}}]"
    found = resolved(ParameterSource.yaml(text), against=signature(SOURCE + "\nTOKEN: int = 5"))
    assert found.values == {
        "TOKEN": SecretReference("env", "TOKEN"),
        "BUCKET": SecretReference("file", "/run/b"),
        "ANYTHING": [{"deep": SecretReference("env", "X")}],
    }


def test_one_value_alone_is_typed_or_refused_with_the_reason() -> None:
    day = signature().get("DAY")
    assert day is not None
    assert value_of(ParameterSource.typed("DAY", "2026-01-01"), day) == "2026-01-01"
    assert value_of(ParameterSource.values({"DAY": {"secret": "env:A"}}), day) == {"secret": "env:A"}
    with pytest.raises(BadInputError) as error:
        value_of(ParameterSource.typed("DAY", "soon"), day)
    assert error.value.message == "'soon' is not of type date"


@pytest.mark.parametrize("typed", ["{secret: env:TOKEN}", "{secret:env:TOKEN}"])
def test_text_that_reads_like_a_secrets_reference_is_warned_of(typed: str) -> None:
    against = signature("token: str = ''")
    found = resolved(ParameterSource.typed("token", typed), against=against)
    assert found.values == {"token": typed}
    (warning,) = found.warnings
    _, meant, _ = warning.split("'")
    assert resolved(ParameterSource.yaml(meant), against=against).values == {"token": SecretReference("env", "TOKEN")}
