"""Where the parts of a JSON text stand, so that one of them can be changed and every other byte kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_DECODER: Final = json.JSONDecoder()
_BLANK: Final = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text: from ``start`` up to ``end``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object: where its key begins, and its value."""

    key: str
    key_start: int
    value: Span


def members(text: str, start: int) -> Iterator[Member]:
    """The members of the valid JSON object that begins at ``start``."""
    position = _skip(text, start + 1)
    while text[position] != "}":
        key_start = position
        key, position = _DECODER.raw_decode(text, position)
        position = _skip(text, _skip(text, position) + 1)  # past the colon
        value = _value(text, position)
        yield Member(key, key_start, value)
        position = _past_comma(text, value.end)


def elements(text: str, start: int) -> Iterator[Span]:
    """The elements of the valid JSON array that begins at ``start``."""
    position = _skip(text, start + 1)
    while text[position] != "]":
        value = _value(text, position)
        yield value
        position = _past_comma(text, value.end)


def member(text: str, start: int, key: str) -> Member | None:
    """The member of that key; of several the last, which is the one that JSON readers take."""
    found = [each for each in members(text, start) if each.key == key]
    return found[-1] if found else None


def root(text: str) -> int:
    """Where the document's value begins."""
    return _skip(text, 0)


def indentation(text: str, position: int) -> str | None:
    """The blanks before ``position`` in its line; ``None`` where something else stands before it."""
    line = text[text.rfind("\n", 0, position) + 1 : position]
    return line if not line.strip() and "\n" in text[:position] else None


def _value(text: str, start: int) -> Span:
    return Span(start, _DECODER.raw_decode(text, start)[1])


def _skip(text: str, position: int) -> int:
    found = _BLANK.match(text, position)
    return found.end() if found else position


def _past_comma(text: str, position: int) -> int:
    position = _skip(text, position)
    return _skip(text, position + 1) if text[position] == "," else position
