"""What a JavaScript or TypeScript parameters cell declares, and what is injected after it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import MISSING, SecretReference
from nbstep_runner.parameters.javascript_cell import javascript_declarations, javascript_parameters
from nbstep_runner.parameters.languages import find_language
from nbstep_runner.parameters.model import Parameter
from parameter_values import AWKWARD, texts


def only(source: str) -> Parameter:
    found = javascript_parameters(source)
    assert found is not None
    (parameter,) = found
    return parameter


@pytest.mark.parametrize(
    ("source", "kind", "default"),
    [
        ("let x = 5", "float", 5),
        ("const x = 0.5;", "float", 0.5),
        ("var x = 'a;b'", "str", "a;b"),
        ('let x = "it\'s // no comment"', "str", "it's // no comment"),
        ("let x = `a\nb`", "str", "a\nb"),
        ("let x = `a${1}`", "Any", MISSING),
        ("let x = true", "bool", True),
        ("let x = 5n", "int", 5),
        ("let x = [1, 2]", "list", [1, 2]),
        ('let x = {"a": {"b": 1}}', "dict", {"a": {"b": 1}}),
        ("let x = {a: 1}", "Any", MISSING),
        ("let x = null", "Any", None),
        ("let x = [\n  1,\n  2\n];", "list", [1, 2]),
        ("let x = new Date()", "Any", MISSING),
        ("let x: number = 5", "float", 5),
        ("let x: string | null = null", "str | None", None),
        ("let x: string[] = []", "list[str]", []),
        ("let x: Array<number> = []", "list[float]", []),
        ("let x: (string | boolean)[] = []", "list[str | bool]", []),
        ("let x: Record<string, number> = {}", "dict[Any, float]", {}),
        ("let x: 'a' | 'b' = 'a'", "Literal['a'] | Literal['b']", "a"),
        ("let x: bigint = 1n", "int", 1),
        ("let x: {a: number, b: string} = {}", "dict", {}),
        ("let x: Date", "Any", MISSING),
        ("export const x: number = 5 /* how many */", "float", 5),
    ],
)
def test_a_declaration_is_read(source: str, kind: str, default: Any) -> None:
    parameter = only(source)
    assert (parameter.name, str(parameter.kind), parameter.default) == ("x", kind, default)
    assert parameter.required == (source == "let x: Date")


@pytest.mark.fault(36)
@pytest.mark.parametrize("text", ["let a=1;", "let a = (", "[", "/*", "a |", "let a: number", "`"])
def test_a_long_cell_costs_by_its_length(text: str) -> None:
    """Each character was looked at once for each statement: these took minutes."""
    started = time.monotonic()
    javascript_declarations(text * (2**16 // len(text)))
    assert time.monotonic() - started < 30
    assert javascript_declarations(text * (2**18 // len(text) + 1)) is None


def test_a_type_that_is_nested_without_end_takes_anything() -> None:
    (parameter,) = javascript_parameters(f"let a: {'Array<' * 5000}number{'>' * 5000} = []") or ()
    assert parameter.default == []


def test_all_declarations_of_a_cell_with_what_is_said_beside_them() -> None:
    found = javascript_parameters(
        "import x from 'y';\n// parameters\nlet rate: number = 0.1, name = 'a'; // how fast\n"
        "const go =\n  true // no semicolon\nfunction f() { let inner = 1 }\nvar last = f(1, 2)\n"
    )
    assert found is not None
    assert [(one.name, one.help) for one in found] == [
        ("rate", "how fast"),
        ("name", "how fast"),
        ("go", "no semicolon"),
        ("last", ""),
    ]


@pytest.mark.parametrize("source", ["let x = (", "let x = 'a", "let x = }", "const {a, b} = f()", "let [a] = [1]"])
def test_what_cannot_be_read_declares_nothing_for_sure(source: str) -> None:
    assert javascript_parameters(source) is None


@given(st.text(st.sampled_from("let const var x=:;,<>()[]{}'\"`/*\\\n 1|n")))
def test_whatever_a_cell_holds_is_read_or_not(source: str) -> None:
    declared = javascript_declarations(source)
    assert declared is None or all(declared)


CELL = "let rate: number = 0.5\nconst big = 1n, names: string[] = []\nvar maybe: string | null = 'x'"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"rate": 2.5}, "let rate: number = 2.5;"),
        ({"big": 2**70}, "const big = 1180591620717411303424n;"),
        ({"names": ["a", 'b"']}, 'const names: string[] = ["a", "b\\""];'),
        ({"maybe": None}, "var maybe: string | null = null;"),
        ({"other": [1, None, {"__proto__": 1}]}, 'let other = [1, null, {["__proto__"]: 1}];'),
        ({"other": float("nan")}, "let other = NaN;"),
        ({"other": "\u2028😀"}, 'let other = "\\u2028\\ud83d\\ude00";'),
        ({"other": SecretReference("env", "TOKEN")}, 'let other = (process.env["TOKEN"] || (() => { throw new Error'),
    ],
)
def test_a_name_is_declared_as_the_parameters_cell_declares_it(values: dict[str, Any], line: str) -> None:
    written = find_language("typescript").source(values, "Parameters", CELL)
    assert written.splitlines()[0] == "// Parameters"
    assert written.splitlines()[1].startswith(line)


@pytest.mark.parametrize("value", [2**53 + 1, {1: "a"}])
def test_what_it_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(BadInputError, match="x: JavaScript cannot hold"):
        find_language("javascript").source({"x": value}, "Parameters")


@given(texts)
def test_text_is_json(text: str) -> None:
    for one in (text, AWKWARD):
        line = find_language("javascript").source({"x": one}, "").splitlines()[1]
        assert json.loads(line.removeprefix("let x = ").removesuffix(";")) == one
