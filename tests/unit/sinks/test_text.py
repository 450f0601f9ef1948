from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.sinks.text import encodable, json_safe, visible, visible_line, without_styles


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("naïve 数 🙂\n", "naïve 数 🙂\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b\x1b[0m[31m", "\\x1b[31m"),
        ("a\rb\x00\x7f\x85", "a\\x0db\\x00\\x7f\\x85"),
        ("\u202euser\u2066\u061c", "\\u202euser\\u2066\\u061c"),
        ("one\u2028two\u2029", "one\\u2028two\\u2029"),
        ("\udc80bytes", "\\udc80bytes"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_line_stays_a_line() -> None:
    assert visible_line("a\nb") == "a\\nb"


def test_styles_alone_can_be_removed() -> None:
    assert without_styles("\x1b[2K\x1b[1mbold\x1b[0m\r") == "bold\r"


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert all(char in "\n\t" or ord(char) >= 0x20 for char in shown)
    assert not set(shown) & set("\x7f\x85\x9b\u202a\u202b\u202c\u202d\u202e\u2028\u2029\u2066\u2069\u200f")
    assert visible(shown) == shown


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_escaped_json_is_the_same_value(text: str) -> None:
    data = json_safe(json.dumps(text, ensure_ascii=False).encode())
    assert json.loads(data) == text
    assert not set(data.decode()) & set("\x9b\u202e\u2028")


def test_halves_of_surrogate_pairs_become_escapes_anywhere() -> None:
    assert encodable({"\ud800": ["a\udfff", 1, None]}) == {"\\ud800": ["a\\udfff", 1, None]}
