"""Which values can be parameters at all: those that JSON has, and what plainly stands for one of them."""

from __future__ import annotations

import datetime as dt
import numbers
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters.jsonable import in_order
from nbstep_runner.parameters.kinds import MismatchError, shown
from nbstep_runner.parameters.limits import Budget, RefusedError, check_depth
from nbstep_runner.parameters.plain import MAX_NUMBER_CHARACTERS, Plain
from nbstep_runner.parameters.secret import SecretReference, is_secret, parse_secret

_MAX_INTEGER_BITS = int((MAX_NUMBER_CHARACTERS - 1) * 3.3219)  # log2(10)


def carriable(value: Any) -> Any:
    """The value as a tree of lists, mappings, text, numbers, bools, ``None``, ``Plain``, dates, paths and secrets.

    Tuples and sets become lists; numbers of other libraries (numpy's scalars) and members of an ``Enum`` become what
    they hold; a mapping ``{secret: …}`` becomes a ``SecretReference``.

    Raises:
        MismatchError: Some part of it cannot be carried to a notebook of any language.
    """
    try:
        return _carriable(value, Budget(), 0)
    except RefusedError as error:
        raise MismatchError(str(error)) from None


def _carriable(value: Any, budget: Budget, depth: int) -> Any:
    budget.spend(1)
    check_depth(depth)
    match value:
        case Enum():
            return _carriable(value.value, budget, depth)
        case Mapping():
            return _secret(value) if is_secret(_with_text_keys(value)) else _mapping(value, budget, depth)
        case list() | tuple():
            return [_carriable(item, budget, depth + 1) for item in value]
        case set() | frozenset():
            return [_carriable(item, budget, depth + 1) for item in in_order(value)]
    return _leaf(value)


def _mapping(value: Mapping[Any, Any], budget: Budget, depth: int) -> dict[Any, Any]:
    pairs = {_key(key): _carriable(item, budget, depth + 1) for key, item in value.items()}
    texts = {key.text if isinstance(key, Plain) else str(key) for key in pairs}
    if len(texts) != len(value):
        raise MismatchError(f"{shown(dict(value))} has two keys that are the same as text")
    return pairs


def _key(key: Any) -> Any:
    found = _leaf(key.value if isinstance(key, Enum) else key)
    if isinstance(found, SecretReference):
        raise MismatchError("a key of a mapping is a secret")
    return found


def _leaf(value: Any) -> Any:  # noqa: PLR0911 - a return for each type
    match value:
        case None | bool() | SecretReference():
            return value
        case dt.datetime():
            return _own_datetime(value)
        case Plain() | dt.date() | dt.time() | PurePath():
            return _whole_text(value)
        case str():
            return _whole_text(str.__str__(value))
        case numbers.Integral():
            return _bounded(int(value))
        case numbers.Real() if not isinstance(value, numbers.Rational):
            return float(value)
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise MismatchError(f"a value of type {type(value).__name__} cannot be carried to a notebook")


def _own_datetime(value: dt.datetime) -> dt.datetime:
    """A ``datetime`` in place of another library's kind of it."""
    if type(value) is dt.datetime:
        return value
    try:
        own = dt.datetime.fromisoformat(value.isoformat())
    except ValueError:
        raise MismatchError(f"a value of type {type(value).__name__} is no point in time") from None
    if own != value:
        raise MismatchError(f"{value.isoformat()} is finer than a microsecond; as text it arrives whole")
    return own


def _bounded(value: int) -> int:
    if value.bit_length() > _MAX_INTEGER_BITS:
        raise MismatchError(f"an integer has more than {MAX_NUMBER_CHARACTERS - 1} digits")
    return value


def _whole_text(value: Any) -> Any:
    """Text without half of a surrogate pair, which no encoding can write."""
    text = value.text if isinstance(value, Plain) else str(value) if isinstance(value, (str, PurePath)) else ""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MismatchError("its text holds half of a surrogate pair") from None
    return value


def _with_text_keys(value: Mapping[Any, Any]) -> dict[str, Any]:
    if len(value) != 1:
        return {}
    return {key.text if isinstance(key, Plain) else str(key): item for key, item in value.items()}


def _secret(value: Mapping[Any, Any]) -> SecretReference:
    (place,) = value.values()
    try:
        return parse_secret({"secret": place.text if isinstance(place, Plain) else place})
    except BadInputError as error:
        raise MismatchError(error.message) from None
