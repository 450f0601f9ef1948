"""JSON read by its own reader: YAML 1.1 knows no surrogate pairs in escapes, so not all JSON is YAML to a parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nbstep_runner.parameters.limits import MAX_DEPTH, Budget, RefusedError, check_depth
from nbstep_runner.parameters.plain import Plain


def read_json(text: str) -> Any:
    """What a JSON text holds; numbers, ``true``, ``false`` and ``null`` are ``Plain``, as they are in YAML.

    Raises:
        RefusedError: It is too deep or too large, or has a key twice.
        ValueError: It is not JSON.
    """
    number = _counted_numbers()
    try:
        found = json.loads(text, object_pairs_hook=_mapping, parse_int=number, parse_float=number, parse_constant=float)
    except RecursionError:
        raise RefusedError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    return _limited(found, Budget(), depth=0)


def _counted_numbers() -> Callable[[str], Plain]:
    """Makes ``Plain`` numbers, at most as many as a document may hold: a flood of them ends while it is being read."""
    budget = Budget()

    def number(text: str) -> Plain:
        budget.spend(1)
        return Plain(text)

    return number


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RefusedError(f"the key {key[:60]!r} stands twice in one mapping")
        found[key] = value
    return found


def _limited(value: Any, budget: Budget, depth: int) -> Any:
    budget.spend(1)
    check_depth(depth)
    if isinstance(value, dict):
        return {key: _limited(item, budget, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_limited(item, budget, depth + 1) for item in value]
    return Plain(json.dumps(value)) if value is None or isinstance(value, bool) else value
