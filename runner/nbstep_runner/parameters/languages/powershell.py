"""PowerShell: numbers grow as they need to; arrays and hash tables."""

from __future__ import annotations

import math
import re
from typing import Any

from nbstep_runner.parameters.languages.base import INT64, CannotHoldError, Language, words

_QUOTES = re.compile("(['\u2018\u2019\u201a\u201b])")  # all of them end a text between single quotes
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_RUNS = re.compile(rf"[^\x00-\x1f\x7f-\x9f]+|{_CONTROL.pattern}")


class PowerShell(Language):
    """Text stands between single quotes, where nothing is expanded; control characters are added by their codes."""

    # Automatic variables, which PowerShell assigns or keeps constant (about_Automatic_Variables); names ignore case.
    reserved = words(
        "_ args consolefilename enabledexperimentalfeatures error event eventargs eventsubscriber executioncontext "
        "false foreach home host input iscoreclr islinux ismacos iswindows lastexitcode matches myinvocation "
        "nestedpromptlevel null pid profile psboundparameters pscmdlet pscommandpath psculture psdebugcontext "
        "psedition pshome psitem psscriptroot pssenderinfo psuiculture psversiontable pwd sender shellid "
        "stacktrace switch this true"
    )

    def name_problem(self, name: str) -> str:
        """Why a name cannot be assigned, in whatever case it is written."""
        return super().name_problem(name) or super().name_problem(name.lower())

    def _identity(self, written: str) -> str:
        return written.lower()

    def _assignment(self, name: str, value: Any) -> str:
        return f"${name} = {self._literal(value)}"

    def _none(self) -> str:
        return "$Null"

    def _boolean(self, value: bool) -> str:
        return "$True" if value else "$False"

    def _integer(self, value: int) -> str:
        return str(value) if -INT64 < value < INT64 else f"[bigint]::Parse('{value}')"

    def _special(self, value: float) -> str:
        if math.isnan(value):
            return "[double]::NaN"
        return "[double]::PositiveInfinity" if value > 0 else "[double]::NegativeInfinity"

    def _text(self, value: str) -> str:
        parts = [_part(run) for run in _RUNS.findall(value)]
        if not parts or parts[0].startswith("["):
            parts.insert(0, "''")  # makes the sum text
        return parts[0] if len(parts) == 1 else f"({' + '.join(parts)})"

    def _sequence(self, value: list[Any]) -> str:
        """A lone element that is itself a list needs the unary comma, without which its elements spill out."""
        lone = "," if len(value) == 1 and isinstance(value[0], (list, tuple)) else ""
        return f"@({lone}{self._items(value)})"

    def _mapping(self, value: dict[Any, Any]) -> str:
        if len({str(key).lower() for key in value}) != len(value):
            raise CannotHoldError("a mapping whose keys differ in case alone")
        return f"@{{{'; '.join(f'{self._key(key)} = {self._literal(item)}' for key, item in value.items())}}}"


def _part(run: str) -> str:
    return f"[char]{ord(run)}" if _CONTROL.match(run) else "'" + _QUOTES.sub(r"\1\1", run) + "'"


LANGUAGE = PowerShell("PowerShell")
