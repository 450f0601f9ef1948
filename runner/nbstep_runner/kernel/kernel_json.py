"""JSON as kernels write it: ``NaN``, lone surrogates and bytes that are not UTF-8 occur, and are not lost.

Nor are control characters that are not escaped, as our own kernel sends them in a large text.

Depth is bounded: what is nested deeper than ``MAX_DEPTH`` could be written by nobody whose recursion is bounded, and be
read by few.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

MAX_DEPTH: Final = 200
TOO_DEEP: Final = f"[nbstep: what is nested more than {MAX_DEPTH} levels deep is left out here]"
_REPEATED: Final = re.compile(rb"\\u00([01][0-9a-f])\\u00\1\\u00\1\\u00\1")
"""Escapes of one control character."""
_ESCAPE: Final = 6
_RUN: Final = 64
"""Control characters that are read at once."""
_STAND_INS: Final = 0xE000
"""The private use character that stands for a run of NULs; those after it for the control characters after NUL."""
_TAKEN: Final = (b"\xee\x80", rb"\ue0", rb"\uE0")
"""Of JSON that may hold a stand-in of its own."""
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z|\\\Z)|[\[\]{}]', re.DOTALL)


def decode(data: bytes | memoryview) -> Any:
    """The value; what is not text becomes the replacement character, what is too deep :data:`TOO_DEEP`.

    Raises:
        ValueError: It is not JSON at all.
    """
    return decode_bounded(data)[0]


def decode_bounded(data: bytes | memoryview) -> tuple[Any, bool]:
    """The same, and whether something was too deep."""
    try:
        value = _decode(data)
    except RecursionError:
        return _decode(_pruned(bytes(data))), True
    if len(data) <= 2 * MAX_DEPTH or not is_too_deep(value):  # each level takes two brackets
        return value, False
    return _decode(_pruned(bytes(data))), True


def is_too_deep(value: Any) -> bool:
    """Whether a value has more than ``MAX_DEPTH`` levels of lists and objects."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [each for container in level for each in _containers(container)]
        if not level:
            return False
    return True


def _containers(value: Any) -> Iterator[Any]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (item for item in items if isinstance(item, dict | list))


def _pruned(data: bytes) -> bytes:
    """JSON in which :data:`TOO_DEEP` stands for what is too deep; brackets are counted, so no depth is too much."""
    parts: list[bytes] = []
    depth = kept_from = 0
    for token in _TOKEN.finditer(data):
        match token[0]:
            case b"[" | b"{":
                depth += 1
                if depth == MAX_DEPTH + 1:
                    parts += [data[kept_from : token.start()], msgspec.json.encode(TOO_DEEP)]
            case b"]" | b"}":
                if depth == MAX_DEPTH + 1:
                    kept_from = token.end()
                depth -= 1
    return b"".join([*parts, data[kept_from:]])


def decode_strictly(data: bytes | memoryview) -> Any:
    """The value of valid JSON.

    Control characters are escaped, six bytes each, and escapes are read one after the other. Of a long run of the same
    one, as a binary file has them, many are read at once: as one character, which stands for them meanwhile.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: It is not valid.
    """
    if not _REPEATED.search(data):
        return msgspec.json.decode(data)
    short, runs = bytes(data), dict[str, str]()
    while (match := _REPEATED.search(short)) and (escape := match[0][:_ESCAPE]) * _RUN in short:
        rest = _shortened(short, escape, b"")
        if not runs and any(taken in rest for taken in _TAKEN):
            break
        code = int(match[1], 16)
        stand_in = chr(_STAND_INS + code)
        runs[stand_in] = chr(code) * _RUN
        short = _shortened(short, escape, stand_in.encode())
    try:
        value = msgspec.json.decode(short)
        return _each_text(value, lambda text: _replaced(text, runs)) if runs else value
    except msgspec.DecodeError:  # a run began within the escape of a backslash, or it is not valid at all
        return msgspec.json.decode(data)


def _shortened(data: bytes, escape: bytes, stand_in: bytes) -> bytes:
    """The data with a stand-in for as many of an escape as ``_RUN``, wherever they follow each other."""
    parts, position, run = [], 0, escape * _RUN
    while (start := data.find(run, position)) >= 0:
        end = start
        for step in (run * _RUN, run):
            while data.startswith(step, end):
                end += len(step)
        parts += [data[position:start], stand_in * ((end - start) // len(run))]
        position = end
    return b"".join([*parts, data[position:]])


def _replaced(text: str, runs: dict[str, str]) -> str:
    for stand_in, run in runs.items():
        text = text.replace(stand_in, run)
    return text


def _decode(data: bytes | memoryview) -> Any:
    try:
        return decode_strictly(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = bytes(data).decode("utf-8", "replace")
        return _without_surrogates(json.loads(text, parse_int=_integer, strict=False))


def _integer(digits: str) -> int | str:
    """An integer; one of more digits than Python converts stays text."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _without_surrogates(value: Any) -> Any:
    """Half of a surrogate pair cannot be written as UTF-8 again."""
    return _each_text(value, _without_surrogates_in)


def _without_surrogates_in(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The value with each of its texts and keys changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each_text(each, change) for each in value]
    if isinstance(value, dict):
        return {change(key): _each_text(each, change) for key, each in value.items()}
    return value
