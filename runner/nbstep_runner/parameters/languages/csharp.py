"""C#: an ``int``, ``long`` or ``BigInteger`` as the size asks for; arrays and dictionaries."""

from __future__ import annotations

from typing import Any

from nbstep_runner.parameters.languages.base import INT32, INT64, Language, same_scalars, unicode_escape, words

_LONG = 2  # the width of the largest integers that a literal can say
_DICTIONARY = "new System.Collections.Generic.Dictionary<string, object>"


class CSharp(Language):
    r"""Lists of more than one type hold objects, and so do dictionaries.

    Text is escaped with ``\u``: ``\x`` takes as many digits as follow it.
    """

    comment_mark = "//"
    reserved = words(
        "abstract as base bool break byte case catch char checked class const continue decimal default delegate do "
        "double else enum event explicit extern false finally fixed float for foreach goto if implicit in int "
        "interface internal is lock long namespace new null object operator out override params private protected "
        "public readonly ref return sbyte sealed short sizeof stackalloc static string struct switch this throw "
        "true try typeof uint ulong unchecked unsafe ushort using virtual void volatile while _"
    )
    null = "null"
    numeric = staticmethod(unicode_escape)
    special = ("double.NaN", "double.PositiveInfinity", "double.NegativeInfinity")

    def _assignment(self, name: str, value: Any) -> str:
        return f"{'object' if value is None else 'var'} {name} = {self._literal(value)};"

    def _integer(self, value: int) -> str:
        forms = (str(value), f"{value}L", f'System.Numerics.BigInteger.Parse("{value}")')
        return forms[_width(value) - 1]

    def _sequence(self, value: list[Any]) -> str:
        """Without ``object`` C# converts the elements to one type, or finds none."""
        if not value:
            return "new object[] { }"
        plain = same_scalars(value) and all(_width(item) <= _LONG for item in value)
        return f"{'new []' if plain else 'new object[]'} {{ {self._items(value)} }}"

    def _mapping(self, value: dict[Any, Any]) -> str:
        pairs = ", ".join(f"{{ {self._key(key)}, {self._literal(item)} }}" for key, item in value.items())
        return f"{_DICTIONARY} {{ {pairs} }}"


def _width(value: Any) -> int:
    """Which integer type a value takes, the narrowest being 1; 0 for what is no integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return 1 if -INT32 <= value < INT32 else _LONG if -INT64 <= value < INT64 else 3


LANGUAGE = CSharp("C#")
