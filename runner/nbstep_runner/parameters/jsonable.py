"""Values of parameters as strict JSON holds them, and their digest."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Set as AbstractSet
from typing import Any

from nbstep_runner.nonfinite import name_of
from nbstep_runner.parameters.secret import SecretReference


def jsonable(value: Any) -> Any:  # noqa: PLR0911 - a return for each type
    """A value in JSON's own types.

    Secrets become ``{"secret": "env:NAME"}``; floats that JSON cannot write become ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``, as in the JSON mapping of protocol buffers; dates become ISO 8601 text, paths text, tuples lists,
    sets lists in the order of :func:`in_order`, keys text.
    """
    match value:
        case SecretReference():
            return value.as_json()
        case float() if not math.isfinite(value):
            return name_of(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case str():
            return str.__str__(value)
        case list() | tuple():
            return [jsonable(item) for item in value]
        case set() | frozenset():
            return [jsonable(item) for item in in_order(value)]
        case dict():
            return {_key(key): jsonable(item) for key, item in value.items()}
    return value


def in_order(values: AbstractSet[Any]) -> list[Any]:
    """The members of a set, always in the same order: by type, then as Python writes them."""
    return sorted(values, key=lambda value: (type(value).__name__, repr(value)))


def digest(value: Any) -> str:
    """``sha256:…`` of a value, the same for mappings in any order; 1, 1.0, ``True`` and ``"1"`` are all different."""
    canonical = json.dumps(_tagged(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(jsonable(key)).strip('"')


def _tagged(value: Any) -> Any:
    """The value with every leaf as text that says its type, so that nothing is left for JSON to blur."""
    match value:
        case list() | tuple():
            return [type(value).__name__, *(_tagged(item) for item in value)]
        case set() | frozenset():
            return [type(value).__name__, *(_tagged(item) for item in in_order(value))]
        case dict():
            return {_tagged(key): _tagged(item) for key, item in value.items()}
        case SecretReference():
            return f"secret:{value.source}:{value.name}"
    return f"{type(value).__name__}:{value}"
