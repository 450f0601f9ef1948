"""C#: an ``int``, ``long`` or ``BigInteger`` as the size asks for; arrays and dictionaries."""

from __future__ import annotations

import math
from typing import Any

from nbstep_runner.parameters.languages.base import same_scalars, words
from nbstep_runner.parameters.languages.dotnet import LONG, DotNet, width

_DICTIONARY = "new System.Collections.Generic.Dictionary<string, object>"


class CSharp(DotNet):
    """Lists of more than one type hold objects, and so do dictionaries."""

    reserved = words(
        "abstract as base bool break byte case catch char checked class const continue decimal default delegate do "
        "double else enum event explicit extern false finally fixed float for foreach goto if implicit in int "
        "interface internal is lock long namespace new null object operator out override params private protected "
        "public readonly ref return sbyte sealed short sizeof stackalloc static string struct switch this throw "
        "true try typeof uint ulong unchecked unsafe ushort using virtual void volatile while _"
    )

    def _assignment(self, name: str, value: Any) -> str:
        return f"{'object' if value is None else 'var'} {name} = {self._literal(value)};"

    def _none(self) -> str:
        return "null"

    def _special(self, value: float) -> str:
        if math.isnan(value):
            return "double.NaN"
        return "double.PositiveInfinity" if value > 0 else "double.NegativeInfinity"

    def _sequence(self, value: list[Any]) -> str:
        """Without ``object`` C# converts the elements to one type, or finds none."""
        if not value:
            return "new object[] { }"
        plain = same_scalars(value) and all(width(item) <= LONG for item in value)
        return f"{'new []' if plain else 'new object[]'} {{ {self._items(value)} }}"

    def _mapping(self, value: dict[Any, Any]) -> str:
        pairs = ", ".join(f"{{ {self._key(key)}, {self._literal(item)} }}" for key, item in value.items())
        return f"{_DICTIONARY} {{ {pairs} }}"


LANGUAGE = CSharp("C#")
