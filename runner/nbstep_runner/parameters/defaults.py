"""From a Python default to its value and to the kind of value that may take its place.

Without an annotation the default speaks for the type, leniently: an int may become a float, and ``None`` anything.
"""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from nbstep_runner.parameters.carriable import carriable
from nbstep_runner.parameters.containers import DictKind, ListKind, SetKind, TupleKind
from nbstep_runner.parameters.kinds import (
    ANY,
    BoolKind,
    DateKind,
    DateTimeKind,
    FloatKind,
    IntKind,
    Kind,
    MismatchError,
    PathKind,
    StrKind,
)
from nbstep_runner.parameters.model import MISSING

_KINDS: dict[type, Kind] = {
    bool: BoolKind(),
    int: IntKind(lenient=True),
    float: FloatKind(),
    str: StrKind(),
    list: ListKind(),
    tuple: TupleKind(),
    set: SetKind(),
    frozenset: SetKind(frozen=True),
    dict: DictKind(),
}
# Constructors of one literal argument, whose values have a kind of their own.
_CALLS: dict[str, Kind] = {"Path": PathKind(lenient=True), "PurePath": PathKind(lenient=True), "float": FloatKind()}
_CONTAINERS: dict[str, type] = {kind.__name__: kind for kind in (list, tuple, set, frozenset, dict)}
_DATES: dict[str, Kind] = {"date": DateKind(), "datetime": DateTimeKind()}


class Default(NamedTuple):
    """A default's value in JSON's types, or ``MISSING`` where it has to be computed; and its kind."""

    value: Any
    kind: Kind


def read_default(node: ast.expr) -> Default:
    """What the expression beside a name says, as far as it can be told without running it."""
    if isinstance(node, ast.Call):
        return _of_call(node)
    try:
        value = ast.literal_eval(node)
        return Default(carriable(value), _KINDS.get(type(value), ANY))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, MismatchError):
        return Default(MISSING, ANY)


def _of_call(node: ast.Call) -> Default:
    """``Path("x")``, ``float("inf")``, ``set()``; of ``date(2024, 1, 1)`` and ``datetime.datetime(…)`` the kind."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _DATES:
        return Default(MISSING, _DATES[name])
    if name in _CONTAINERS and isinstance(node.func, ast.Name):
        return _of_container(node, _CONTAINERS[name])
    match node.args:
        case [ast.Constant(value=str(text))] if name in _CALLS and not node.keywords:
            return _of_text(text, name)
    return Default(MISSING, ANY)


def _of_container(node: ast.Call, container: type) -> Default:
    try:
        value = container(*map(ast.literal_eval, node.args))
        return Default(MISSING if node.keywords else carriable(value), _KINDS[container])
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, MismatchError):
        return Default(MISSING, _KINDS[container])


def _of_text(text: str, name: str) -> Default:
    try:
        return Default(float(text) if name == "float" else text, _CALLS[name])
    except ValueError:
        return Default(MISSING, ANY)
