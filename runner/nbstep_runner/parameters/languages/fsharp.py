"""F#: an ``int``, ``int64`` or ``bigint`` as the size asks for; lists and ``Map<string, obj>``."""

from __future__ import annotations

import math
from typing import Any

from nbstep_runner.parameters.languages.base import same_scalars, words
from nbstep_runner.parameters.languages.dotnet import DotNet, width


class FSharp(DotNet):
    """Lists and mappings of more than one type hold objects."""

    reserved = words(
        "abstract and as assert base begin class const default delegate do done downcast downto elif else end "
        "exception extern false finally fixed for fun function global if in inherit inline interface internal lazy "
        "let match member mod module mutable namespace new not null of open or override private public rec return "
        "sig static struct then to true try type upcast use val void when while with yield _ break checked "
        "component constraint continue event external include mixin parallel process protected pure sealed "
        "tailcall trait virtual asr land lor lsl lsr lxor"
    )

    def _assignment(self, name: str, value: Any) -> str:
        return f"let {name} = {self._literal(value)}"

    def _none(self) -> str:
        return "None"

    def _special(self, value: float) -> str:
        if math.isnan(value):
            return "nan"
        return "infinity" if value > 0 else "-infinity"

    def _sequence(self, value: list[Any]) -> str:
        plain = not value or (same_scalars(value) and len({width(item) for item in value}) == 1)
        return f"[ {'; '.join(self._literal(item) if plain else self._boxed(item) for item in value)} ]"

    def _mapping(self, value: dict[Any, Any]) -> str:
        if not value:
            return "Map.empty<string, obj>"
        pairs = "; ".join(f"({self._key(key)}, {self._boxed(item)})" for key, item in value.items())
        return f"Map.ofList [ {pairs} ]"

    def _boxed(self, value: Any) -> str:
        """A value as an object; ``None`` is ``null`` there."""
        return "null" if value is None else f"box ({self._literal(value)})"


LANGUAGE = FSharp("F#")
