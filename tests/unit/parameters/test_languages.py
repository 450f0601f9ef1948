"""The injected source of each language.

Python is executed. Bash and R are run by ``tests/integration/test_parameter_languages.py``. For the languages whose
kernels are not at hand, text is read back by small readers written from the languages' references, and the rest is
compared with what the references ask for.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import SecretReference
from nbstep_runner.parameters.kinds import PathText
from parameter_values import AWKWARD, same, texts, translate, values

LANGUAGES = ("python", "R", "bash", "julia", "scala", "matlab", "csharp")
PAPERMILL_NAMES = {"csharp": ".net-csharp"}
TOKEN = SecretReference("env", "NBSTEP_TEST_TOKEN")


def source(value: Any, language: str) -> str:
    """The expression that a language writes for a value."""
    line = translate({"x": value}, language).partition("\n")[2].rstrip("\n")
    return re.sub(r"^(val |var |object |let |\$)?x ?= ?", "", line).removesuffix(";")


def executed(held: dict[str, Any]) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(translate(held, "python"), {}, namespace)  # noqa: S102 - what the kernel does
    return namespace


# Python


any_key = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
python_values = values(keys=any_key)


@given(python_values)
@settings(max_examples=3 * settings().max_examples)
def test_python_holds_the_same_value(value: Any) -> None:
    assert same(executed({"x": value}), {"x": value})


def test_python_holds_what_declared_types_ask_for() -> None:
    held = {
        "a": (1, (2,), ()),
        "b": dt.date(2024, 1, 2),
        "c": dt.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
        "d": [PathText("/data/it's")],
        "e": dt.time(1, 2),
    }
    assert executed(held) == held | {"d": [Path("/data/it's")]}


@given(texts)
def test_ipython_changes_nothing_in_the_cell(text: str) -> None:
    from IPython.core.inputtransformer2 import TransformerManager

    manager: Any = TransformerManager
    cell = translate({"x": text, "y": [text]}, "python")
    assert manager().transform_cell(cell) == cell


def test_python_makes_no_path_of_a_uri() -> None:
    with pytest.raises(BadInputError, match="cannot hold a URI in a Path"):
        translate({"x": PathText("gs://bucket/x")}, "python")


def test_python_reads_secrets_when_the_cell_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NBSTEP_TEST_TOKEN", "hunter2")
    file = tmp_path / 'a "quoted" name'
    file.write_bytes("géheim\r\n\n".encode())
    held = {"x": TOKEN, "y": {"deep": [SecretReference("file", str(file))]}}
    assert executed(held) == {"x": "hunter2", "y": {"deep": ["géheim\r\n"]}}
    assert "hunter2" not in translate(held, "python")


# Every language


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("value", [0, 5, -7, 2**31 - 1, True, False, 1.5, -0.25, 1e-05, 1e20])
def test_numbers_come_out_as_papermill_writes_them(language: str, value: Any) -> None:
    from papermill.translators import papermill_translators

    theirs = papermill_translators.find_translator(None, PAPERMILL_NAMES.get(language, language))
    assert source(value, language) == theirs.translate(value)


@pytest.mark.parametrize("language", ["python", "R", "julia", "scala"])
@pytest.mark.parametrize(
    "value", ["", "plain", "two words", [1, 2, 3], ["a", "b"], [], {"a": 1, "b": 2}, [True, False]]
)
def test_simple_values_come_out_as_papermill_writes_them(language: str, value: Any) -> None:
    from papermill.translators import translate_parameters

    assert translate({"x": value}, language) == translate_parameters(None, language, {"x": value})


@pytest.mark.parametrize("value", ["", "plain", "it's two words", [1, 2, 3], ["a", "b c"], [], [True, False]])
def test_bash_comes_out_as_papermill_writes_it(value: Any) -> None:
    from papermill.translators import translate_parameters

    assert translate({"x": value}, "bash") == translate_parameters("bash", None, {"x": value})


def test_every_language_of_papermill_is_written_but_those_that_nothing_here_can_run() -> None:
    from papermill.translators import papermill_translators

    unwritten = {".net-fsharp", ".net-powershell"}
    for name in papermill_translators._translators.keys() - unwritten:
        assert "x" in translate({"x": 1}, name)


@pytest.mark.parametrize("name", [".net-fsharp", "F#", ".net-powershell", "pwsh", "PowerShell", "ocaml", "sql"])
def test_a_language_that_nobody_writes_is_refused(name: str) -> None:
    with pytest.raises(BadInputError, match="parameters cannot be written in the language"):
        translate({"x": 1}, name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_comment_stays_one_line(language: str) -> None:
    first, rest = translate({}, language, comment="a\nb = 1").split("\n", 1)
    assert first.endswith("a b = 1")
    assert rest == ""


@pytest.mark.parametrize("language", [*LANGUAGES, "ocaml"])
@pytest.mark.parametrize("name", ["x=1; import os", "x\n", "x y", "", "$x", "x`y`"])
def test_no_language_writes_code_as_a_name(language: str, name: str) -> None:
    with pytest.raises(BadInputError):
        translate({name: 1}, language)


@pytest.mark.parametrize("language", ["scala", "matlab", "csharp"])
def test_a_secret_is_refused_where_it_cannot_be_read_at_run_time(language: str) -> None:
    with pytest.raises(BadInputError, match=r"x: .* cannot hold secrets \(env:NBSTEP_TEST_TOKEN\)"):
        translate({"x": TOKEN}, language)


CANNOT_HOLD: list[tuple[str, Any]] = [
    ("bash", None),
    ("bash", {"a": 1}),
    ("bash", [[1]]),
    ("bash", [{}]),
    ("bash", [None]),
    ("bash", "a\0b"),
    ("bash", [SecretReference("file", "/x")]),
    ("R", 2**53 + 1),
    ("R", -(2**60)),
    ("R", "a\0b"),
    ("R", {1: "a"}),
    ("julia", {1: "a"}),
    ("scala", "x" * 65_536),
    ("scala", "é" * 32_768),
    ("scala", {None: "a"}),
    ("matlab", 2**53 + 1),
    ("matlab", {1: "a"}),
    ("csharp", {1: "a"}),
]


@pytest.mark.parametrize(
    ("language", "value"), CANNOT_HOLD, ids=[f"{name}-{n}" for n, (name, _) in enumerate(CANNOT_HOLD)]
)
def test_what_a_language_cannot_hold_is_refused(language: str, value: Any) -> None:
    with pytest.raises(BadInputError, match=r"^x: .* cannot hold "):
        translate({"x": value}, language)


def test_names_that_a_language_takes_for_one_are_refused() -> None:
    with pytest.raises(BadInputError, match="does not tell it from"):
        translate({"_x": 1, "x": 1}, "R")


def test_r_leaves_leading_underscores_out_as_papermill_does() -> None:
    assert translate({"_x": 1}, "R") == "# Parameters\nx = 1\n"


NESTED = {"a": [1, "x", None], "b": {"c": [True]}}


@pytest.mark.parametrize(
    ("language", "value", "expected"),
    [
        ("julia", None, "nothing"),
        ("julia", float("nan"), "NaN"),
        ("julia", -float("inf"), "-Inf"),
        ("julia", [True, 2], "Any[true, 2]"),
        ("julia", [2**60 + 1, 0.5], "Any[1152921504606846977, 0.5]"),
        ("julia", [[1], [2.5]], "Any[[1], [2.5]]"),
        ("julia", {}, "Dict{String, Any}()"),
        ("julia", NESTED, 'Dict{String, Any}("a" => Any[1, "x", nothing], "b" => Dict{String, Any}("c" => [true]))'),
        ("julia", (1,), "(1,)"),
        ("julia", TOKEN, 'ENV["NBSTEP_TEST_TOKEN"]'),
        ("julia", SecretReference("file", "/run/$x"), 'replace(read("/run/\\$x", String), r"\\n\\z" => "")'),
        ("scala", None, "None"),
        ("scala", 2**31, "2147483648L"),
        ("scala", -(2**63), "-9223372036854775808L"),
        ("scala", 2**63, 'BigInt("9223372036854775808")'),
        ("scala", float("nan"), "Double.NaN"),
        ("scala", -float("inf"), "Double.NegativeInfinity"),
        ("scala", [1, 2.5], "Seq[Any](1, 2.5)"),
        ("scala", [1, 2**31], "Seq[Any](1, 2147483648L)"),
        ("scala", {}, "Map[String, Any]()"),
        ("scala", NESTED, 'Map[String, Any]("a" -> Seq[Any](1, "x", None), "b" -> Map[String, Any]("c" -> Seq(true)))'),
        ("matlab", None, "[]"),
        ("matlab", float("inf"), "Inf"),
        ("matlab", [], "{}"),
        ("matlab", {}, "containers.Map()"),
        ("matlab", {"it's": [1]}, "containers.Map({'it''s'}, {{1}}, 'UniformValues', false)"),
        ("matlab", {"a\nb": 1, "": 2}, r"containers.Map({sprintf('a\012b'), ''}, {1, 2}, 'UniformValues', false)"),
        ("csharp", None, "null"),
        ("csharp", 2**63, 'System.Numerics.BigInteger.Parse("9223372036854775808")'),
        ("csharp", float("nan"), "double.NaN"),
        ("csharp", [1, "a", None], 'new object[] { 1, "a", null }'),
        ("csharp", [1, 2], "new [] { 1, 2 }"),
        ("csharp", [1, 2**70], 'new object[] { 1, System.Numerics.BigInteger.Parse("1180591620717411303424") }'),
        ("csharp", {"a": 1}, 'new System.Collections.Generic.Dictionary<string, object> { { "a", 1 } }'),
    ],
)
def test_a_value_is_written(language: str, value: Any, expected: str) -> None:
    assert source(value, language) == expected


# Text, read back by the escapes that each language's reference lists


SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\\": "\\", '"': '"', "$": "$"}


def escapes(literal: str, *, simple: str, wide: bool) -> str:
    r"""The text of a ``"…"`` literal with simple escapes, ``\uXXXX`` and, where ``wide``, ``\UXXXXXXXX``."""
    assert literal[0] == literal[-1] == '"'
    units: list[str] = []
    rest = literal[1:-1]
    while rest:
        if rest[0] != "\\":
            assert rest[0] not in '"\n\r'
            assert rest[0].isascii()
            units.append(rest[0])
            rest = rest[1:]
        elif rest[1] in simple:
            units.append(SIMPLE[rest[1]])
            rest = rest[2:]
        else:
            digits = {"u": 4, "U": 8}[rest[1]]
            assert digits == 4 or wide
            units.append(chr(int(rest[2 : 2 + digits], 16)))
            rest = rest[2 + digits :]
    return "".join(units).encode("utf-16", "surrogatepass").decode("utf-16")


def julia_text(literal: str) -> str:
    assert not re.search(r"(?<!\\)(\\\\)*\$", literal)
    return escapes(literal, simple='ntr\\"$', wide=True)


def scala_text(literal: str) -> str:
    return escapes(literal, simple='ntrbf\\"', wide=False)


def csharp_text(literal: str) -> str:
    return escapes(literal, simple='ntr0\\"', wide=True)


def matlab_text(literal: str) -> str:
    """A double-quoted string, which has no escapes, or a call of ``sprintf`` (MATLAB's "formatSpec")."""
    if literal.startswith('"'):
        return literal[1:-1].replace('""', '"')
    found = re.fullmatch(r'sprintf\("((?:[^"]|"")*)"((?:, char\([^)]*\))*)\)', literal)
    assert found
    codes = iter(re.findall(r"char\(\[?([0-9 ]+)\]?\)", found[2]))
    units: list[str] = []
    for part in re.findall(r"%%|%s|\\\\|\\[0-7]{3}|\"\"|[^%\\\"]", found[1]):
        if part == "%s":
            units += [chr(int(code)) for code in next(codes).split()]
        else:
            units.append(part[0] if len(part) <= 2 else chr(int(part[1:], 8)))
    assert next(codes, None) is None
    return "".join(units).encode("utf-16", "surrogatepass").decode("utf-16")


READERS: dict[str, Callable[[str], str]] = {
    "julia": julia_text,
    "scala": scala_text,
    "csharp": csharp_text,
    "matlab": matlab_text,
}


@pytest.mark.parametrize("language", READERS)
@given(text=texts)
def test_text_reads_back(language: str, text: str) -> None:
    assert READERS[language](source(text, language)) == text


@pytest.mark.parametrize("language", READERS)
def test_awkward_text_reads_back(language: str) -> None:
    for text in [AWKWARD, *AWKWARD, *(character + "0aF" for character in AWKWARD), "\\u0041", "\\\\", "$(ls)", "${x}"]:
        assert READERS[language](source(text, language)) == text


@pytest.mark.parametrize("language", ["R", "bash", "julia", "scala", "csharp"])
@given(value=values())
def test_the_source_is_one_line_of_printable_ascii(language: str, value: Any) -> None:
    try:
        written = translate({"x": value}, language)
    except BadInputError:
        return
    assert re.fullmatch(r"[ -~]+\n[ -~]+\n", written)


@pytest.mark.parametrize("language", ["julia", "scala", "csharp"])
@given(value=values())
def test_json_is_held_by_every_language_that_has_all_its_types(language: str, value: Any) -> None:
    assert source(value, language)
