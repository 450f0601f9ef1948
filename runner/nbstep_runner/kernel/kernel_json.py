"""JSON as kernels write it: ``NaN``, lone surrogates and bytes that are not UTF-8 occur, and are not lost.

Depth is bounded: what is nested deeper than ``MAX_DEPTH`` could be written by nobody whose recursion is bounded, and be
read by few.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

MAX_DEPTH: Final = 200
TOO_DEEP: Final = f"[nbstep: what is nested more than {MAX_DEPTH} levels deep is left out here]"
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)


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


def _decode(data: bytes | memoryview) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _without_surrogates(json.loads(bytes(data).decode("utf-8", "replace"), parse_int=_integer))


def _integer(digits: str) -> int | str:
    """An integer; one of more digits than Python converts stays text."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _without_surrogates(value: Any) -> Any:
    """Half of a surrogate pair cannot be written as UTF-8 again."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    return value
