"""MATLAB: numbers are doubles, lists are cell arrays, mappings are ``containers.Map``."""

from __future__ import annotations

import math
import re
from typing import Any

from nbstep_runner.parameters.languages.base import EXACT_DOUBLE, CannotHoldError, Language, words

_RUNS = re.compile(r"[ -~]+|[^ -~]+")


class Matlab(Language):
    """Text between double quotes has no escapes, so other characters are added by their codes."""

    comment_mark = "%"
    identifier = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")  # namelengthmax is 63
    reserved = words(
        "break case catch classdef continue else elseif end for function global if otherwise parfor persistent return "
        "spmd switch try while"
    )

    def _assignment(self, name: str, value: Any) -> str:
        return f"{name} = {self._literal(value)};"

    def _none(self) -> str:
        """What MATLAB's own ``jsondecode`` makes of null."""
        return "[]"

    def _integer(self, value: int) -> str:
        if abs(value) > EXACT_DOUBLE:
            raise CannotHoldError("an integer beyond 2^53 exactly")
        return str(value)

    def _special(self, value: float) -> str:
        if math.isnan(value):
            return "NaN"
        return "Inf" if value > 0 else "-Inf"

    def _text(self, value: str) -> str:
        parts = [_coded(run) if run[0] < " " or run[0] > "~" else _quoted(run, '"') for run in _RUNS.findall(value)]
        if not parts or not parts[0].startswith('"'):
            parts.insert(0, '""')  # makes the sum a string
        return parts[0] if len(parts) == 1 else f"({' + '.join(parts)})"

    def _key(self, key: Any) -> str:
        if not isinstance(key, str):
            return super()._key(key)
        parts = [_coded(run) if run[0] < " " or run[0] > "~" else _quoted(run, "'") for run in _RUNS.findall(key)]
        return f"[{' '.join(parts)}]" if len(parts) > 1 else (parts or ["''"])[0]

    def _sequence(self, value: list[Any]) -> str:
        return f"{{{self._items(value)}}}"

    def _mapping(self, value: dict[Any, Any]) -> str:
        if not value:
            return "containers.Map()"
        keys = ", ".join(self._key(key) for key in value)
        return f"containers.Map({{{keys}}}, {{{self._items(value.values())}}}, 'UniformValues', false)"


def _quoted(text: str, quote: str) -> str:
    return f"{quote}{text.replace(quote, quote * 2)}{quote}"


def _coded(text: str) -> str:
    """Characters by their UTF-16 codes, which is what MATLAB's text is made of."""
    units = memoryview(text.encode("utf-16-le")).cast("H").tolist()
    return f"char({units[0]})" if len(units) == 1 else f"char([{' '.join(map(str, units))}])"


LANGUAGE = Matlab("MATLAB")
