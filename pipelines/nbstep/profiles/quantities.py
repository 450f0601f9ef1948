"""Amounts of resources as Kubernetes writes them: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from nbstep_runner.errors import UsageError

_SUFFIXES: Final[dict[str, Decimal]] = (
    {"": Decimal(1)}
    | {letter: Decimal(1000) ** -power for power, letter in enumerate("mun", 1)}
    | {
        f"{letter}{binary}": Decimal((1024 if binary else 1000) ** power)
        for power, letter in enumerate("kMGTPE", 1)
        for binary in ("", "i")
    }
)
_SUFFIXES["Ki"] = _SUFFIXES.pop("ki")
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)((?:[eE][+-]?\d{1,2})?)([a-zA-Z]{0,2})", re.ASCII)


def written(value: str | float) -> str:
    """A quantity as text."""
    return value if isinstance(value, str) else f"{value:g}"


def quantity(value: str | float, of: str = "") -> Decimal:
    """A number as Kubernetes writes it: ``500m``, ``2``, ``4Gi``, ``1.5G``.

    Args:
        value: Such a number.
        of: The field that has it, for the error.

    Raises:
        UsageError: It is none.
    """
    found = _QUANTITY.fullmatch(str(value))
    if found is None or found[3] not in _SUFFIXES or (found[2] and found[3]):
        raise UsageError(
            f"{of and f'{of}: '}{value!r} is not a quantity", hint="Write it as Kubernetes does: 500m, 2, 4Gi."
        )
    return Decimal(found[1] + found[2]) * _SUFFIXES[found[3]]
