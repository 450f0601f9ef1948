"""JSON of any depth: what no reader could take is left out and declared, all else is as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.kernel.kernel_json import MAX_DEPTH, TOO_DEEP, decode, decode_bounded, decode_strictly

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
)


def nested(levels: int, core: str = "1") -> bytes:
    return ("[" * levels + core + "]" * levels).encode()


def depth_of(value: Any) -> int:
    depth = 0
    while isinstance(value, list):
        value, depth = value[0], depth + 1
    return depth


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 500, 990, 1_000, 100_000])
def test_what_is_too_deep_is_declared_and_its_surroundings_stay(levels: int) -> None:
    data = b'{"before": "]]{\\"[", "deep": %s, "after": [{"a": 2}]}' % nested(levels, '"]\\\\"')
    value, too_deep = decode_bounded(data)
    assert too_deep
    assert (value["before"], value["after"]) == (']]{"[', [{"a": 2}])
    assert depth_of(value["deep"]) == MAX_DEPTH - 1
    assert TOO_DEEP in json.dumps(value)


def test_the_deepest_that_is_kept() -> None:
    assert decode_bounded(nested(MAX_DEPTH))[1] is False
    assert decode(nested(MAX_DEPTH)) == json.loads(nested(MAX_DEPTH))


def test_what_is_too_deep_and_no_strict_json_either() -> None:
    value, too_deep = decode_bounded(b'[NaN, "\xff", %s]' % nested(600, "NaN"))
    assert too_deep
    assert value[1] == "\N{REPLACEMENT CHARACTER}"


def test_what_is_too_deep_and_no_json_at_all_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="delimiter"):
        decode(b"[" * 100_000 + b'"\\' * 200_000)


@given(VALUES)
def test_all_else_is_as_it_was(value: Any) -> None:
    assert decode_bounded(json.dumps(value).encode()) == (value, False)


PIECES = st.sampled_from(["\0", "\x01", "\x1f", "\\", "u0000", "\ue000", "\ue001", "x", '"', "\n", "\N{GRINNING FACE}"])
REPEATED = st.lists(st.tuples(PIECES, st.sampled_from([1, 3, 63, 64, 65, 200, 5000])), max_size=6).map(
    lambda runs: "".join(piece * count for piece, count in runs)
)


@given(REPEATED, st.booleans())
def test_runs_of_control_characters_are_read_as_they_are(text: str, ascii_only: bool) -> None:
    value = {"name": "stdout", text: [text, 1]}
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert decode_strictly(memoryview(data)) == value


def test_an_escaped_backslash_before_a_run() -> None:
    assert decode_strictly(rb'["\\u0000' + rb"\u0000" * 100 + b'"]') == ["\\u0000" + "\0" * 100]


@given(REPEATED)
def test_control_characters_need_no_escape(text: str) -> None:
    """As our own kernel sends a large text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert decode(f'{{"text": "{escaped}"}}'.encode()) == {"text": text}
