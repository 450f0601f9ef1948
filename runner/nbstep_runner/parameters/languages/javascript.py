"""JavaScript and TypeScript: numbers are doubles, and a ``bigint`` where the parameters cell declares one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nbstep_runner.parameters.javascript_cell import Declaration, javascript_declarations
from nbstep_runner.parameters.languages.base import Language, utf16_escape, words


class JavaScript(Language):
    """A name is declared anew by the keyword, and with the type, of the parameters cell.

    Deno's kernel takes a second declaration by the same keyword only. A value with the name ``__proto__`` would become
    a prototype, were its key not computed.
    """

    comment_mark = "//"
    identifier = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
    reserved = words(
        "break case catch class const continue debugger default delete do else enum export extends false finally for "
        "function if import in instanceof new null return super switch this throw true try typeof var void while with "
        "yield let static implements interface package private protected public await async of arguments eval "
        "undefined NaN Infinity globalThis"
    )
    null = "null"
    numeric = staticmethod(utf16_escape)
    special = ("NaN", "Infinity", "-Infinity")
    listed = "[{}]"
    secrets = (
        '(process.env[{0}] || (() => {{ throw new Error("the secret is not set") }})())',
        'process.getBuiltinModule("node:fs").readFileSync({0}, "utf8").replace(/\\n$/, "")',
    )
    beyond_doubles = "an integer beyond 2^53 exactly, unless it is declared as a bigint"

    def source(self, values: Mapping[str, Any], comment: str, cell: str = "") -> str:
        """The injected cell; see :meth:`Language.source`."""
        declared = javascript_declarations(cell) or {}
        return super().source({name: _Declared(value, declared.get(name)) for name, value in values.items()}, comment)

    def _assignment(self, name: str, value: Any) -> str:
        found = value.declaration
        keyword = found.keyword if found else "let"
        annotation = f": {' '.join(found.annotation.split())}" if found and found.annotation else ""
        literal = f"{value.value}n" if _is_bigint(value) else self._literal(value.value)
        return f"{keyword} {name}{annotation} = {literal};"

    def _mapping(self, value: dict[Any, Any]) -> str:
        pairs = (f"{self._key(key)}: {self._literal(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"

    def _key(self, key: Any) -> str:
        written = super()._key(key)
        return f"[{written}]" if key == "__proto__" else written


class _Declared:
    """A value, and how the parameters cell declares its name."""

    def __init__(self, value: Any, declaration: Declaration | None) -> None:
        self.value = value
        self.declaration = declaration


def _is_bigint(declared: _Declared) -> bool:
    is_integer = isinstance(declared.value, int) and not isinstance(declared.value, bool)
    return is_integer and declared.declaration is not None and declared.declaration.is_bigint


LANGUAGE = JavaScript("JavaScript")
