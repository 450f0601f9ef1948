"""What parameters can hold, for property tests, and the one notion of equality that counts."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from nbstep_runner.parameters.languages import find_language

AWKWARD = (
    "'\"\\`$%{}#!?;&|<>()[]~*=,.: \n\t\r\b\f\v\x00\x01\x1b\x7f\x85\xa0éß€\u2018\u2019\u2028\u202e\ufeff\uffff😀nuxU0N"
)
EDGES = [
    0,
    1,
    -1,
    2**31 - 1,
    2**31,
    -(2**31),
    -(2**31) - 1,
    2**53,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63),
    2**70,
    -(10**30),
]

integers = st.one_of(st.sampled_from(EDGES), st.integers())
floats = st.floats()
texts = st.one_of(st.text(), st.text(st.sampled_from(AWKWARD)))
scalars = st.one_of(st.none(), st.booleans(), integers, floats, texts)


def values(leaves: st.SearchStrategy[Any] = scalars, keys: st.SearchStrategy[Any] = texts) -> st.SearchStrategy[Any]:
    """Any JSON value, but for what has the form of a secret reference."""
    keys = keys.filter(lambda key: key != "secret")
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
    )


def translate(held: dict[str, Any], language: str, comment: str = "Parameters") -> str:
    """The source of the injected cell."""
    return find_language(language).source(held, comment)


def same(left: Any, right: Any) -> bool:
    """Equal in value and type at every level: ``True`` is not 1, 1 is not 1.0, NaN is NaN, 0.0 is not -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left.hex() == right.hex() or (math.isnan(left) and math.isnan(right))
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left), list(right)) and same(list(left.values()), list(right.values()))
    return bool(left == right)


def any_inside(value: Any, test: Any) -> bool:
    """Whether a test holds of a value or of anything inside it, keys included."""
    if test(value):
        return True
    if isinstance(value, dict):
        return any(any_inside(item, test) for pair in value.items() for item in pair)
    return isinstance(value, (list, tuple)) and any(any_inside(item, test) for item in value)
