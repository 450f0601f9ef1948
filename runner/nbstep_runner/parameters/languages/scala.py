"""Scala: an ``Int``, ``Long`` or ``BigInt`` as the size asks for; ``Seq`` and ``Map``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from nbstep_runner.parameters.languages.base import (
    INT32,
    INT64,
    CannotHoldError,
    Language,
    same_scalars,
    utf16_escape,
    words,
)

_MAX_CONSTANT_BYTES = 65_535  # of a JVM class file


class Scala(Language):
    r"""Text is escaped in UTF-16 units: ``\x`` and ``\U`` are no escapes of Scala."""

    comment_mark = "//"
    reserved = words(
        "abstract case catch class def do else enum export extends false final finally for forSome given if "
        "implicit import lazy macro match new null object override package private protected return sealed super "
        "then this throw trait true try type val var while with yield _"
    )
    null = "None"
    named: ClassVar[Mapping[str, str]] = {**Language.named, "\b": "\\b", "\f": "\\f"}
    numeric = staticmethod(utf16_escape)
    special = ("Double.NaN", "Double.PositiveInfinity", "Double.NegativeInfinity")
    statement = "val {name} = {value}"

    def _integer(self, value: int) -> str:
        if -INT32 <= value < INT32:
            return str(value)
        return f"{value}L" if -INT64 <= value < INT64 else f'BigInt("{value}")'

    def _text(self, value: str) -> str:
        if _constant_bytes(value) > _MAX_CONSTANT_BYTES:
            raise CannotHoldError(f"text of more than {_MAX_CONSTANT_BYTES} bytes")
        return super()._text(value)

    def _sequence(self, value: list[Any]) -> str:
        """Without ``Any`` Scala widens numbers to one type."""
        plain = not value or (same_scalars(value) and len({self._width(item) for item in value}) == 1)
        return f"{'Seq' if plain else 'Seq[Any]'}({self._items(value)})"

    def _mapping(self, value: dict[Any, Any]) -> str:
        pairs = ", ".join(f"{self._key(key)} -> {self._literal(item)}" for key, item in value.items())
        plain = same_scalars(value.values()) and len({self._width(item) for item in value.values()}) == 1
        return f"{'Map' if plain else 'Map[String, Any]'}({pairs})"

    def _width(self, value: Any) -> str:
        """What kind of literal an integer takes; nothing to tell for others."""
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return self._integer(value).strip("-0123456789")[:3] if is_integer else ""


def _constant_bytes(text: str) -> int:
    """The size in a class file's modified UTF-8: two bytes for NUL, six for what UTF-16 takes two units for."""
    return len(text.encode()) + text.count("\0") + 2 * sum(character > "\uffff" for character in text)


LANGUAGE = Scala("Scala")
