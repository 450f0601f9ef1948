"""Parameters as YAML and JSON: what is read, what is refused, and how long refusing may take."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import load_yaml
from nbstep_runner.parameters.carriable import carriable
from nbstep_runner.parameters.kinds import ANY
from nbstep_runner.parameters.limits import MAX_BYTES, MAX_DEPTH
from nbstep_runner.parameters.safe_yaml import load_document
from parameter_values import floats, same, texts, values

MEBIBYTE = MAX_BYTES


def plain_values(data: bytes) -> Any:
    """What is read where no type is declared."""
    return {name: ANY.accept(carriable(value)) for name, value in load_yaml(data, where="params.yaml").items()}


def refusal(data: bytes) -> str:
    with pytest.raises(BadInputError) as caught:
        load_yaml(data, where="params.yaml")
    assert caught.value.message.startswith("params.yaml ")
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", False),
        ("012", 10),
        ("1e3", 1000.0),
        ("1.5e3", 1500.0),
        ("2024-01-01", "2024-01-01"),
        ("1_000", 1000),
        ("0x1F", 31),
        (".inf", float("inf")),
        ("", None),
        ("~", None),
        ("=", "="),
        ("'1'", "1"),
        ('"a\\nb"', "a\nb"),
        ("[1, a, {b: no}]", [1, "a", {"b": False}]),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5.0),
        ("! 5", "5"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("gs://bucket/x", "gs://bucket/x"),
    ],
)
def test_a_scalar_without_a_declared_type_is_what_papermill_reads(text: str, value: Any) -> None:
    assert same(plain_values(f"X: {text}".encode()), {"X": value})


def test_a_plain_scalar_keeps_its_text_and_a_quoted_one_is_text() -> None:
    loaded = load_yaml(b"a: 012\nb: '012'", where="params.yaml")
    assert loaded["a"].text == "012"
    assert loaded["b"] == "012"


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# only a comment\n", b"---\n", b"null", b"\xef\xbb\xbf", b"~"])
def test_an_empty_document_is_no_parameters(data: bytes) -> None:
    assert load_yaml(data, where="params.yaml") == {}


def test_a_byte_order_mark_is_passed_over() -> None:
    assert plain_values(b"\xef\xbb\xbfX: 1") == {"X": 1}


def test_names_keep_their_text() -> None:
    assert plain_values(b"yes: 1\nno: 2\n012: 3") == {"yes": 1, "no": 2, "012": 3}


def test_json_is_read_as_json() -> None:
    data = rb'{"a": "\ud83d\ude00\/", "b": 1e3, "c": [true, null, 1.0], "d": NaN, "e": {"f": -Infinity}}'
    expected = {"a": "😀/", "b": 1000.0, "c": [True, None, 1.0], "d": float("nan"), "e": {"f": float("-inf")}}
    assert same(plain_values(data), expected)


def test_flow_style_yaml_is_not_taken_for_json() -> None:
    assert plain_values(b"{a: 1, b: [x, 'y']}") == {"a": 1, "b": ["x", "y"]}


def test_aliases_and_merge_keys_are_followed() -> None:
    data = b"base: &base {x: 1, y: 2}\ncopy: *base\nmore: {<<: *base, y: 3}\nlist: {<<: [*base, {x: 9, z: 4}]}"
    loaded = plain_values(data)
    assert loaded["copy"] == {"x": 1, "y": 2}
    assert loaded["more"] == {"x": 1, "y": 3}
    assert loaded["list"] == {"x": 1, "y": 2, "z": 4}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[1, 2]", "a list, not parameters"),
        (b"just text", "a single value, not parameters"),
        (b"<html><p>404</p></html>", "a single value"),
        (b"a: 1\na: 2", "'a' stands twice"),
        (b"a: 1\n'a': 2", "'a' stands twice"),
        (b"x: {b: 1, b: 2}", "'b' stands twice"),
        (b'{"a": 1, "a": 2}', "'a' stands twice"),
        (b"a: 1\n---\nb: 2", "more than one document"),
        (b"a: [1, 2", "line 2, column 1"),
        (b"a: b: c", "line 1"),
        (b"a: \xe9", "not UTF-8 text (byte 3)"),
        ("a: 1".encode("utf-16"), "UTF-16"),
        (b"a: \0", "control characters"),
        (b"a: !!python/object/apply:os.system ['true']", "the tag !!python/object/apply:os.system is not allowed"),
        (b"a: !!python/name:os.system", "is not allowed"),
        (b"a: !!binary aGk=", "!!binary is not allowed"),
        (b"a: !!set {x, y}", "!!set is not allowed"),
        (b"a: !!omap [x: 1]", "!!omap is not allowed"),
        (b"a: !secret x", "!secret is not allowed"),
        (b"a: !!int x", "'x' is no !!int"),
        (b"a: !!int", "'' is no !!int"),
        (b"a: !!bool maybe", "'maybe' is no !!bool"),
        (b"a: *nowhere", "no anchor before it"),
        (b"a: &a [*a]", "inside its own anchor"),
        (b"a: &x 1\nb: &x 2", "stands twice"),
        (b"a: {<<: 5}", "merge key"),
        (b"? [a, b]\n: 1", "a key is a list or a mapping"),
        (b"a: " + b"x" * MEBIBYTE, "larger than"),
    ],
)
def test_what_is_not_a_document_of_parameters_is_refused_in_one_line(data: bytes, reason: str) -> None:
    assert reason in refusal(data)


def bomb(levels: int = 30) -> bytes:
    """Each level repeats the one before nine times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


def merge_bomb(levels: int = 30) -> bytes:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, levels)]
    return "\n".join(lines).encode()


HOSTILE = {
    "aliases": bomb(),
    "merged aliases": merge_bomb(),
    "open brackets": b"[" * MEBIBYTE,
    "open json": b'{"a":' + b"[" * (MEBIBYTE - 5),
    "open braces": b"{a: " * (MEBIBYTE // 4),
    "dashes": b"- " * (MEBIBYTE // 2),
    "deep through an alias": b"a: &a " + b"[" * 60 + b"]" * 60 + b"\nb: " + b"[" * 20 + b"*a" + b"]" * 20,
    "many values": b"a: [" + b"1," * (MEBIBYTE // 2 - 10) + b"]",
    "many values below brackets": b"[" * 60 + b"1," * (MEBIBYTE // 2 - 100),
    "many words below brackets": b"a: " + b"[" * 60 + b"x," * (MEBIBYTE // 2 - 100),
    "many empty mappings": b"[" + b"{}," * (MEBIBYTE // 3 - 100),
    "directives": b"".join(b"%%TAG !a%d! tag:x\n" % n for n in range(45_000)),
    "json with a late duplicate": b"{" + b",".join(b'"a%d":1' % n for n in range(70_000)) + b',"a69999":2}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused_in_under_a_second(name: str) -> None:
    data = HOSTILE[name]
    assert len(data) <= MEBIBYTE
    assert any(_refusal_seconds(data) < 1.0 for _ in range(3))  # a busy machine only adds to it


def _refusal_seconds(data: bytes) -> float:
    started = time.process_time()
    refusal(data)
    return time.process_time() - started


def test_a_base_60_number_of_any_length_costs_nothing() -> None:
    started = time.process_time()
    value = plain_values(b"a: 1" + b":1" * 400_000)["a"]
    assert isinstance(value, str)
    assert time.process_time() - started < 1.0


def test_the_largest_allowed_documents_are_read() -> None:
    deepest = b"a: " + b"[" * (MAX_DEPTH - 1) + b"1" + b"]" * (MAX_DEPTH - 1)
    assert plain_values(deepest)
    assert len(plain_values(b"a: [" + b"1," * 22_000 + b"]")["a"]) == 22_000


PIECES = [
    "a",
    ":",
    " ",
    "\n",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a",
    "*a",
    "!!",
    "!",
    "|",
    ">",
    "'",
    '"',
    "%",
    "#",
    "<<",
    "?",
]
PIECES += ["---", "...", "\t", "\\", "1", "~", "é", "\0", "\ufeff", "\x85", "\u2028", "str", "int"]


def read_or_refused(data: bytes) -> Any:
    """What is read, or the one line that says why it is not; any other error is the test's failure."""
    try:
        return load_document(data, where="params.yaml")
    except BadInputError as error:
        return error.message.encode()


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=60))
@settings(max_examples=3 * settings().max_examples)
def test_any_text_is_read_or_refused(text: str) -> None:
    found = read_or_refused(text.encode(errors="replace"))
    assert not isinstance(found, bytes) or b"\n" not in found


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    found = read_or_refused(data)
    assert not isinstance(found, bytes) or b"\n" not in found


@given(st.dictionaries(texts, values(), max_size=4))
def test_json_comes_back_as_it_was(mapping: dict[str, Any]) -> None:
    assert same(plain_values(json.dumps(mapping).encode()), mapping)


def is_number_to_yaml_1_1_alone(text: str) -> bool:
    """PyYAML writes the text 1e3 without quotes, because it does not read it as a number."""
    return re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", text) is not None


printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]) | st.just("\n"), max_size=20)
writable = printable.filter(lambda text: not is_number_to_yaml_1_1_alone(text))
leaves = st.none() | st.booleans() | st.integers() | floats | writable


@given(st.dictionaries(writable, values(leaves, writable), max_size=4))
def test_yaml_comes_back_as_it_was(mapping: dict[str, Any]) -> None:
    dumped = yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False)
    assert same(plain_values(dumped.encode()), mapping)
