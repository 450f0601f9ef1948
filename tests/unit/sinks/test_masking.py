from __future__ import annotations

import base64
import html
import json
import re
import shlex
from itertools import pairwise
from urllib.parse import quote
from xml.sax import saxutils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.masking import LONGEST_HELD, MASK, MIN_LINE_LENGTH, Masker
from nbstep_runner.sinks.text import visible
from nbstep_runner.written import PRINTED, forms_of

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
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        ascii(SECRET)[1:-1],
        shlex.quote(f"it's {SECRET}").removeprefix("'it'\"'\"'s ").removesuffix("'"),
        json.dumps(json.dumps(SECRET)[1:-1])[1:-1],
        json.dumps(repr(SECRET)[1:-1])[1:-1],
        repr(json.dumps(SECRET)[1:-1])[1:-1],
        repr(repr(SECRET)[1:-1])[1:-1],
        html.escape(repr(SECRET)[1:-1]),
        "\r".join(SECRET),
        "\b\0".join(SECRET),
        "\u200b".join(SECRET),
    ],
)
def test_a_secret_is_masked_in_every_form_in_which_it_is_written(written: str) -> None:
    assert PRINTED.sub("", Masker([SECRET]).mask(f"<{written}>")) == f"<{MASK}>"


QUOTES = 'it\'s a "s\\ecret"'


@pytest.mark.fault(39)
@pytest.mark.parametrize(
    "written",
    [
        QUOTES.replace("\\", "\\\\"),  # the quotes are another's, such as triple ones
        QUOTES.replace("\\", "\\\\").replace('"', '\\"'),
        QUOTES.replace("\\", "\\\\").replace("'", "\\'"),
        repr([QUOTES])[2:-2],
        repr(QUOTES.encode())[2:-1],
        json.dumps(QUOTES.replace("\\", "\\\\"))[1:-1],
    ],
)
def test_it_does_not_matter_which_quotes_are_escaped(written: str) -> None:
    assert Masker([QUOTES]).stream().feed(f"<{written}>") == f"<{MASK}>"


def test_quotes_that_another_text_decides_hide_no_secret() -> None:
    secret = "don't tell"  # noqa: S105 - made up
    assert secret not in (shown := repr(f'"{secret}"'))
    stream = Masker([secret]).stream()
    assert stream.feed(shown) + stream.flush() == repr(f'"{MASK}"')


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


HTML_SECRET = "a<b>&c\"d'e/f_g-53cret"  # noqa: S105 - made up, with all that markup escapes


@pytest.mark.fault(49)
@pytest.mark.parametrize(
    "written",
    [
        html.escape(HTML_SECRET),
        html.escape(HTML_SECRET, quote=False),
        html.escape(html.escape(HTML_SECRET)),
        html.escape(json.dumps(HTML_SECRET)[1:-1]),
        saxutils.escape(HTML_SECRET, {'"': "&quot;", "'": "&apos;"}),
        "".join(f"&#{ord(character)};" for character in HTML_SECRET),
        "".join(f"&#x{ord(character):x};" for character in HTML_SECRET),
        json.dumps(HTML_SECRET)[1:-1]
        .replace("<", "\\u003c")
        .replace(">", "\\u003E".lower())
        .replace("&", "\\u0026")
        .replace("'", "\\u0027"),
        json.dumps(HTML_SECRET)[1:-1].replace("/", "\\/"),
        HTML_SECRET.replace("_", "\\_").replace("&", "\\&"),
        "\x1b[1m".join(HTML_SECRET),
        "\x9b38;5;1m".join(HTML_SECRET),
        "\x1b]8;;https://x\x1b\\".join(HTML_SECRET),
        HTML_SECRET[:9] + "\x1b(B" + HTML_SECRET[9:],
        html.escape(HTML_SECRET[:9]) + "&shy;&#8203;" + html.escape(HTML_SECRET[9:]),
        html.escape(HTML_SECRET[:9]) + '<b title="a>b">' + html.escape(HTML_SECRET[9:]),
        html.escape(HTML_SECRET[:9]) + """<b title='it<>"'>""" + html.escape(HTML_SECRET[9:]),
        html.escape(HTML_SECRET[:9]) + "<script type='x'>if (a</b/) b()</script>" + html.escape(HTML_SECRET[9:]),
        html.escape(HTML_SECRET[:9]) + "<STYLE>p { top: 0 }</style >" + html.escape(HTML_SECRET[9:]),
    ],
)
def test_a_secret_is_masked_as_it_is_read(written: str) -> None:
    shown = Masker([HTML_SECRET]).mask(f"({written})")
    assert shown.startswith(f"({MASK}")
    assert "53cret" not in re.sub(r"\x1b[(\[][0-9;]*[A-Za-z]|\x9b[0-9;]*m|\x1b\][^\x1b]*\x1b\\", "", shown)
    assert "53cret" not in shown


@pytest.mark.fault(49)
def test_a_letter_with_an_accent_is_the_same_however_it_is_composed() -> None:
    composed, apart = "s\u00e9cret-9f1c", "se\u0301cret-9f1c"
    assert [Masker([secret]).mask(shown) for secret in (composed, apart) for shown in (composed, apart)] == [MASK] * 4


@pytest.mark.fault(49)
def test_markup_between_its_parts_hides_no_secret_and_stays_whole() -> None:
    markup = "<pre>key <b>5up3r-<span class='n'>53</span>cret</b>-9f1c <i>on</i></pre>"
    shown = Masker(["5up3r-53cret-9f1c"]).mask(markup)
    assert shown == f"<pre>key <b>{MASK}<span class='n'></span></b> <i>on</i></pre>"


def test_a_tag_that_is_part_of_a_secret_is_not_kept() -> None:
    assert Masker(["pass<word>x"]).mask("is pass<word>x.") == f"is {MASK}."
    assert Masker(["pass<word>x"]).mask("is pass&lt;word&gt;x.") == f"is {MASK}."


def test_what_comes_after_a_secret_looks_as_before() -> None:
    assert Masker(["5up3r-53cret"]).mask("\x1b[1m5up3r\x1b[0m-53cret on") == f"\x1b[1m{MASK}\x1b[0m on"


@pytest.mark.fault(49)
def test_a_number_is_masked_too() -> None:
    assert Masker(["12345678"]).mask_value({"n": [12345678, 7, True]}) == {"n": [MASK, 7, True]}


def test_text_that_is_never_shown_is_not_held_back_for_ever() -> None:
    stream = Masker(["tok3n-value"]).stream()
    assert stream.feed("tok" + "\x1b[0m" * LONGEST_HELD)
    assert stream.held < LONGEST_HELD


UNSEEN = st.sampled_from(["\x1b[1m", "\x1b[0;31m", "\x9b0m", "\x1b]8;;x\x07", "\r", "\b", "\0", "\u200b", "\ufeff"])


@pytest.mark.fault(49)
@given(st.text(alphabet="ab", min_size=4, max_size=7), st.data())
def test_no_secret_is_left_to_a_reader_whatever_is_in_between_and_however_it_is_cut(
    secret: str, data: st.DataObject
) -> None:
    characters = (
        data.draw(st.text(alphabet="abc", max_size=6)) + secret + data.draw(st.text(alphabet="abc", max_size=6))
    )
    coloured = "".join(each + "".join(data.draw(st.lists(UNSEEN, max_size=2))) for each in characters)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(coloured)), max_size=5)))
    pieces = [coloured[start:stop] for start, stop in pairwise([0, *cuts, len(coloured)])]
    masker = Masker([secret])
    stream = masker.stream()
    shown = "".join(map(stream.feed, pieces)) + stream.flush()
    assert secret not in visible(shown)
    assert secret not in PRINTED.sub("", shown)
    assert shown == masker.mask(coloured)


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


@pytest.mark.parametrize("user", ["", "me", "you", "them"])
def test_a_secret_behind_a_name_in_base64(user: str) -> None:
    coded = base64.b64encode(f"{user}:pass-word/42".encode()).decode()
    shown = Masker(["pass-word/42"]).mask(f"Authorization: Basic {coded}")
    assert MASK in shown
    assert len(shown) < len("Authorization: Basic ") + len(coded) - 10


@pytest.mark.fault(49)
@pytest.mark.parametrize("hidden", ["\u200b" * 4, "\0\x01\x02\x03", "a\u200b\u200b\u200b"])
def test_a_secret_of_which_little_is_shown_riddles_no_text(hidden: str) -> None:
    masker = Masker([hidden])
    assert masker.mask("a banana") == "a banana"
    assert MASK in masker.mask(f"<{hidden}>")
    assert masker.stream().feed("a banana!") == "a banana!"


def test_what_is_held_back_is_what_some_form_of_a_secret_begins_with() -> None:
    secrets = [KEY, SECRET, "abcabcab"]
    masker, forms = Masker(secrets), {form for each in secrets for form in forms_of(each, MIN_LINE_LENGTH)}
    longest = max(map(len, forms))
    texts = [f"-{form[:length]}" for form in forms for length in range(len(form) + 1)]
    for text in [*texts, "ab", "xabca", "nothing"]:
        near = range(max(0, len(text) - longest + 1), len(text))
        begun = next((at for at in near if any(form.startswith(text[at:]) for form in forms)), len(text))
        assert masker.begun(text) == begun
