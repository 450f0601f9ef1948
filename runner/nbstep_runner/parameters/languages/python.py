"""Python: every value has a literal, or an expression that needs no import."""

from __future__ import annotations

import datetime as dt
import keyword
import unicodedata
from typing import Any

from nbstep_runner.parameters.jsonable import in_order
from nbstep_runner.parameters.kinds import PathText
from nbstep_runner.parameters.languages.base import CannotHoldError, Language


class Python(Language):
    """Text stays readable: what Python prints as it is, is written as it is."""

    null = "None"
    special = ("float('nan')", "float('inf')", "float('-inf')")
    truths = ("False", "True")
    listed = "[{}]"
    has_tuples = True
    secrets = (
        '__import__("os").environ[{0}]',
        '__import__("pathlib").Path({0}).read_bytes().decode().removesuffix("\\n")',
    )

    def name_problem(self, name: str) -> str:
        """Why a name cannot be assigned; Python's names go beyond ASCII."""
        if not name.isidentifier() or unicodedata.normalize("NFKC", name) != name:
            return "not a valid name in Python"
        reserved = keyword.iskeyword(name) or name == "__debug__"
        return "a reserved word of Python" if reserved else ""

    def _text(self, value: str) -> str:
        if isinstance(value, PathText) and "://" in value:
            raise CannotHoldError("a URI in a Path, which drops one of its slashes")
        if isinstance(value, PathText):
            return f'__import__("pathlib").Path({self._text(str.__str__(value))})'
        inner = repr(f"'{value}")[2:-1] if '"' not in value else repr(f'"{value}')[2:-1].replace('"', '\\"')
        return f'"{inner}"'

    def _unordered(self, value: set[Any] | frozenset[Any]) -> str:
        members = f"{{{self._items(in_order(value))}}}" if value else ""
        if isinstance(value, frozenset):
            return f"frozenset({members})"
        return members or "set()"

    def _mapping(self, value: dict[Any, Any]) -> str:
        return f"{{{', '.join(f'{self._literal(key)}: {self._literal(item)}' for key, item in value.items())}}}"

    def _moment(self, value: dt.date | dt.time) -> str:
        kind = next(kind.__name__ for kind in (dt.datetime, dt.date, dt.time) if isinstance(value, kind))
        return f'__import__("datetime").{kind}.fromisoformat({self._text(value.isoformat())})'


LANGUAGE = Python("Python")
