"""What C# and F# write alike: the types and the texts of .NET."""

from __future__ import annotations

from typing import Any

from nbstep_runner.parameters.languages.base import INT32, INT64, Language, escaped, unicode_escape

_NAMED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
LONG = 2
"""The width of the largest integers that a literal can say."""


class DotNet(Language):
    r"""Text is escaped with ``\u``: ``\x`` takes as many digits as follow it."""

    comment_mark = "//"

    def _integer(self, value: int) -> str:
        """An ``int``, a ``long`` or a ``BigInteger``, as the size asks for."""
        forms = (str(value), f"{value}L", f'System.Numerics.BigInteger.Parse("{value}")')
        return forms[width(value) - 1]

    def _text(self, value: str) -> str:
        return f'"{escaped(value, _NAMED, unicode_escape)}"'


def width(value: Any) -> int:
    """Which integer type a value takes, the narrowest being 1; 0 for what is no integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return 1 if -INT32 <= value < INT32 else LONG if -INT64 <= value < INT64 else 3
