from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.masking import MASK, Masker

KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"
SECRET = 'pä"ss\\wort'  # noqa: S105 - made up, with all that needs escaping


def test_without_secrets_everything_is_passed_through_untouched() -> None:
    masker, value, text = Masker([]), {"a": ["b"]}, "some text"
    assert masker.mask(text) is text
    assert masker.mask_value(value) is value
    assert masker.stream().feed(text) is text
    assert not masker


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        repr(SECRET)[1:-1],
        repr(SECRET.encode())[2:-1],
        quote(SECRET, safe=""),
    ],
)
def test_a_secret_is_masked_in_every_form_in_which_it_is_written(written: str) -> None:
    assert Masker([SECRET]).mask(f"<{written}>") == f"<{MASK}>"


def test_each_line_of_a_long_secret_is_masked() -> None:
    assert Masker([KEY]).mask("got hkiG9w0BAQEFAASC!") == f"got {MASK}!"
    assert Masker([KEY]).mask(KEY) == MASK


def test_the_newline_at_the_end_of_a_secret_file_does_not_matter() -> None:
    assert Masker(["tok3n\n"]).mask("use tok3n.") == f"use {MASK}."


def test_short_secrets_are_counted_not_masked() -> None:
    masker = Masker(["ab", "", "  x ", "long enough"])
    assert masker.unmaskable == 2
    assert masker.mask("ab long enough x") == f"ab {MASK} x"


def test_the_longest_secret_wins_and_overlaps_leave_nothing() -> None:
    masker = Masker(["abcd", "abcdef", "efgh"])
    assert masker.mask("abcdef") == MASK
    assert masker.mask("abcdefgh") == MASK
    assert masker.mask("xabcdy") == f"x{MASK}y"


def test_strings_anywhere_in_a_value_are_masked() -> None:
    value = {"a tok3n": ["tok3n", 1, None, {"b": "a tok3n"}], "n": 1.5}
    assert Masker(["tok3n"]).mask_value(value) == {f"a {MASK}": [MASK, 1, None, {"b": f"a {MASK}"}], "n": 1.5}


def test_a_secret_split_over_pieces_is_masked() -> None:
    stream = Masker(["tok3n-value"]).stream()
    assert stream.feed("my tok3") == "my "
    assert stream.held == 4
    assert stream.feed("n-val") == ""
    assert stream.feed("ue!\n") == f"{MASK}!\n"
    assert stream.flush() == ""


def test_what_only_looked_like_a_secret_comes_out_unharmed() -> None:
    stream = Masker(["tok3n-value"]).stream()
    assert stream.feed("a tok3") + stream.feed("ns") == "a tok3ns"
    assert stream.feed("tok") == ""
    assert stream.flush() == "tok"


SECRETS = st.lists(st.text(alphabet="ab\n", min_size=4, max_size=7), min_size=1, max_size=4)


@given(SECRETS, st.lists(st.text(alphabet="abc\n", max_size=9), max_size=8))
def test_pieces_are_masked_as_the_whole_is(secrets: list[str], pieces: list[str]) -> None:
    masker = Masker(secrets)
    stream = masker.stream()
    shown = "".join(map(stream.feed, pieces)) + stream.flush()
    assert shown == masker.mask("".join(pieces))


@given(SECRETS, st.text(alphabet="abc", max_size=40))
def test_no_secret_is_left(secrets: list[str], text: str) -> None:
    shown = Masker(secrets).mask(text)
    assert not any(secret.strip() in shown for secret in secrets if len(secret.strip()) >= 4)
