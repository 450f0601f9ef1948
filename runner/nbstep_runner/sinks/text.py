"""Text that comes from outside, made safe to show: no control sequence, nothing that reorders or hides."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nbstep_runner.hidden import HIDDEN, escaped

_CONTROLS = tuple(chr(code) for code in (*range(9), *range(11, 32), 127))
_STYLE = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]")
"""A control sequence of ECMA-48, section 5.4: colours, erasing, moving the cursor."""

_IN_JSON = (("\\", "\\\\"), ('"', '\\"'), ("\t", "\\t"))
_RUN, _LONG_RUN = 64, 4096
_LINE = 200
"""Characters up to which a text is looked through in one go: searches for each control character take longer."""
_SURROGATE = re.compile("[\ud800-\udfff]")


def without_styles(text: str) -> str:
    """The text without control sequences such as colours; other control characters stay."""
    return _STYLE.sub("", text) if "\x1b" in text or "\x9b" in text else text


def visible(text: str) -> str:
    """The text with control sequences removed, and what else a reader could not see written as an escape.

    Newlines and tabs stay. The result can always be encoded.
    """
    return text if _is_plain(text) else _each_replaced(without_styles(text), escaped)


def visible_in_json(text: str) -> str:
    """As ``visible``, and as a JSON string holds it, without its quotes; newlines stay, for they end a line."""
    plain = _is_plain(text)
    text = text if plain else without_styles(text)
    for each, written in _IN_JSON:
        if each in text:  # found by memchr; what is to be replaced is counted one by one first
            text = text.replace(each, written)
    return text if plain else _each_replaced(text, lambda hidden: "\\" + escaped(hidden))


def visible_line(text: str) -> str:
    """As ``visible``, on one line: newlines are written as escapes too."""
    return visible(text).replace("\n", "\\n")


def json_safe(data: bytes) -> bytes:
    """The same JSON value, with what a reader of the raw bytes could not see escaped as JSON does."""
    if data.isascii() or _is_plain(text := data.decode()):
        return data
    return _each_replaced(text, lambda hidden: f"\\u{ord(hidden):04x}").encode()


def encodable(value: Any) -> Any:
    """A JSON value in which UTF-8 can say every string: halves of surrogate pairs are written as escapes."""
    match value:
        case str():
            return _SURROGATE.sub(lambda match: escaped(match[0]), value)
        case dict():
            return {encodable(str(key)): encodable(item) for key, item in value.items()}
        case list() | tuple():
            return [encodable(item) for item in value]
        case _:
            return value


def _is_plain(text: str) -> bool:
    if len(text) <= _LINE and text.isprintable():
        return True
    # Thirty searches by memchr are nine times as fast in a long text as one by a regular expression.
    if text.isascii():
        return not any(control in text for control in _CONTROLS)
    return text.replace("\n", " ").replace("\t", " ").isprintable()


def _each_replaced(text: str, escape: Callable[[str], str]) -> str:
    """The text with an escape for each hidden character, at a cost for each kind of them that occurs, not for each one.

    A megabyte of NULs is one replacement, of many at once; a function called for each of them would take a second.
    """
    for control in [each for each in _CONTROLS if each in text]:  # looked for before the text grows by escapes
        for hidden in (control * _LONG_RUN, control * _RUN, control):
            if control in text:  # found by memchr, which a run is not
                text = text.replace(hidden, escape(control) * len(hidden))
    if not text.isascii():
        for hidden in set(HIDDEN.findall(text)):
            text = text.replace(hidden, escape(hidden))
    return text
