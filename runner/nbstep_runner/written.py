"""The forms in which a text is written (escapes, entities, base64, hex), and texts read without tags and colours."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final
from unicodedata import normalize
from urllib.parse import quote, quote_plus

Span = tuple[int, int]
_BASE64_DIGITS: Final = 8
"""Of which fewer may be part of any other word."""

PRINTED: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f\x9b\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]"  # one class, which is found fast
    r"(?:(?<=\x1b)(?:\[[0-?]*[ -/]*(?:[@-~]|\Z)|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\|\x1b?\Z)|[ -/]*(?:[0-Z\\^-~]|\Z))"
    r"|(?<=\x9b)[0-?]*[ -/]*(?:[@-~]|\Z)|(?<![\x1b\x9b])[\x00-\x08\x0b-\x1a]*)?"
)
"""What a terminal does not show: control sequences (ECMA-48, sections 5.3 to 5.6), begun at the end of the text too,
other control characters, and those of Unicode that have no width."""

_MARKUP: Final = re.compile(
    r"</?[a-zA-Z](?:[^<>\"']++|\"[^\"]{0,4096}+\"|'[^']{0,4096}+')*+>|</?[a-zA-Z][^<>]*>|<!--.{0,4096}?-->|&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[a-zA-Z][a-zA-Z0-9]*);",
    re.DOTALL,
)
_SCRIPT: Final = re.compile(r"<(script|style|template)\b[^<>]*>[^<]*+(?:<(?!/?\1\b)[^<]*+)*+</\1\s*>", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"\\(?=[!-/:-@\[-`{-~])")

_UNSEEN: Final = re.compile(f"(?i:{_SCRIPT.pattern})|{_MARKUP.pattern}", re.DOTALL)

DISPLAYED: Final = (_UNSEEN, _MARKUP, _ESCAPED)
"""What is not shown of displays: scripts; tags, while entities are shown as what they mean; in Markdown and LaTeX, the
backslash before punctuation."""

MEANT: Final = ("&", "\\")
"""How those begin that only say how the characters of a text are meant."""


class Reading:
    """A text without what is not shown of it, and with the characters that its entities mean.

    Args:
        written: The text as it is written.
        unread: What is not shown, or an entity.
    """

    def __init__(self, written: str, unread: re.Pattern[str]) -> None:
        self._shown_at: list[int] = []
        self._written_at: list[Span] = []
        self._length = 0
        pieces: list[str] = []
        position = 0
        for match in unread.finditer(written):
            pieces.append(self._add(written[position : match.start()], (position, match.start())))
            meant = PRINTED.sub("", html.unescape(match[0])) if match[0][0] == "&" else ""  # a soft hyphen has no width
            pieces.append(self._add(meant, match.span()))
            position = match.end()
        pieces.append(self._add(written[position:], (position, len(written))))
        self.text = "".join(pieces)

    def _add(self, shown: str, span: Span) -> str:
        if shown:
            self._shown_at.append(self._length)
            self._written_at.append(span)
            self._length += len(shown)
        return shown

    def written(self, shown: Span) -> Span:
        """Where the characters of a span of the reading stand in the written text."""
        return self._place(shown[0])[0], self._place(shown[1] - 1)[1]

    def _place(self, index: int) -> Span:
        """The written characters of a shown one: a character in a piece that is shown as it is, or all of an entity."""
        piece = bisect_right(self._shown_at, index) - 1
        start, stop = self._written_at[piece]
        end = self._shown_at[piece + 1] if piece + 1 < len(self._shown_at) else self._length
        if stop - start != end - self._shown_at[piece]:
            return start, stop
        offset = start + index - self._shown_at[piece]
        return offset, offset + 1


def forms_of(text: str, line_length: int) -> Iterator[str]:
    """The ways in which a text is likely to be written, and each of its lines that has at least so many characters."""
    stripped = text.strip()
    lines = [line.strip() for line in stripped.splitlines()]
    composed = (normalize(form, text) for form in ("NFC", "NFD"))  # what a reader cannot tell apart
    whole = {text, stripped, PRINTED.sub("", stripped), *composed}
    for each in {*whole, *(line for line in lines if len(line) >= line_length)}:
        yield from _forms(each)


def _forms(text: str) -> Iterator[str]:
    yield from (text, shlex.quote(text), shlex.quote(text).strip("'"))
    for safe in ("/", "", "!~*'()"):  # the last as JavaScript's encodeURIComponent
        yield quote(text, safe=safe, errors="surrogatepass")
    yield quote_plus(text, errors="surrogatepass")
    data = text.encode(errors="surrogatepass")
    yield from (data.hex(), data.hex().upper())
    yield from _in_base64(data)
    for each in _literals(text):
        yield each
        yield from _literals(each)  # JSON in JSON, the repr of a dict in a page


def _in_base64(data: bytes) -> Iterator[str]:
    """Bytes in base64, alone and after others (as in ``Authorization: Basic``): the digits that they alone decide."""
    for others in range(3):
        digits = base64.b64encode(bytes(others) + data).decode()
        decided = digits[-(-others * 8 // 6) : (others + len(data)) * 8 // 6]
        for each in (digits, decided) if not others else (decided,):
            if len(decided) >= _BASE64_DIGITS:
                yield each
                yield each.translate(str.maketrans("+/", "-_"))


def _literals(text: str) -> Iterator[str]:
    """A text inside the quotes of JSON, of Python and of markup."""
    for json_text in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield json_text
        yield json_text.replace("/", "\\/")
        yield _json_in_html(json_text, "04x")
        yield _json_in_html(json_text, "04X")
    for python in (repr("'\"" + text), ascii("'\"" + text), repr(b"'\"" + text.encode(errors="surrogatepass"))[1:]):
        yield from _quoted(python.removeprefix("'\\'\"")[:-1])
    yield text.replace("\\", "\\\\")
    yield html.escape(text, quote=False)
    yield html.escape(text)
    for double, single in (("&#34;", "&#39;"), ("&quot;", "&#39;"), ("&quot;", "&apos;")):  # markupsafe, lxml, XML
        yield html.escape(text, quote=False).replace('"', double).replace("'", single)


def _quoted(text: str) -> Iterator[str]:
    """A text in single quotes, and as it is where other quotes, or none, decide which are escaped."""
    unquoted = text.replace("\\'", "'")
    yield from (text, unquoted, unquoted.replace('"', '\\"'))


def _json_in_html(text: str, digits: str) -> str:
    """JSON as it is put into a page's script: what could end the script is escaped."""
    return re.sub(r"[<>&'\u2028\u2029]", lambda match: f"\\u{ord(match[0]):{digits}}", text)
