"""From a Python annotation to the kind of value that it asks for.

Names are recognised by their last part (``t.Optional``, ``datetime.date``), because the imports that give them their
meaning are not executed here. What is not recognised takes anything.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from nbstep_runner.parameters.containers import DictKind, ListKind, LiteralKind, SetKind, TupleKind, UnionKind
from nbstep_runner.parameters.kinds import (
    ANY,
    BoolKind,
    DateKind,
    DateTimeKind,
    FloatKind,
    IntKind,
    Kind,
    NoneKind,
    PathKind,
    StrKind,
)

# Found as bare names only: torch.float and np.bool are something else.
_BUILTINS: dict[str, Kind] = {"bool": BoolKind(), "int": IntKind(), "float": FloatKind(), "str": StrKind()}
_PLAIN: dict[str, Kind] = {"date": DateKind(), "datetime": DateTimeKind(), "LiteralString": StrKind()}
_PLAIN |= dict.fromkeys(("Path", "PurePath", "PosixPath", "PurePosixPath", "PathLike"), PathKind())
_LISTS = frozenset(("list", "List", "Sequence", "MutableSequence", "Collection", "Iterable"))
_SETS = {"set": False, "Set": False, "MutableSet": False, "AbstractSet": False, "frozenset": True, "FrozenSet": True}
_TUPLES = frozenset(("tuple", "Tuple"))
_DICTS = frozenset(("dict", "Dict", "Mapping", "MutableMapping"))
_WRAPPERS = frozenset(("Final", "ClassVar", "Required", "NotRequired", "ReadOnly"))


class Annotation(NamedTuple):
    """What an annotation says: the kind, and the text that ``Annotated`` carries."""

    kind: Kind = ANY
    help: str = ""


def parse_annotation(source: str | ast.expr) -> Annotation:
    """The meaning of an annotation; one that cannot be understood takes anything."""
    try:
        node = ast.parse(source.strip(), mode="eval").body if isinstance(source, str) else source
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return Annotation()
    match node:
        case ast.Constant(value=str(quoted)):
            return parse_annotation(quoted)
        case ast.Subscript(value=outer, slice=inner) if _name(outer) in _WRAPPERS:
            return parse_annotation(inner)
        case ast.Subscript(value=outer, slice=ast.Tuple(elts=[inner, *extras])) if _name(outer) == "Annotated":
            texts = [
                extra.value for extra in extras if isinstance(extra, ast.Constant) and isinstance(extra.value, str)
            ]
            return Annotation(_kind(inner), " ".join(texts))
    return Annotation(_structure(node))


def _kind(node: ast.expr) -> Kind:
    return parse_annotation(node).kind


def _structure(node: ast.expr) -> Kind:
    match node:
        case ast.Constant(value=None):
            return NoneKind()
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return union([_kind(left), _kind(right)])
        case ast.Name(id=name) if name in _BUILTINS:
            return _BUILTINS[name]
        case ast.Name() | ast.Attribute():
            return _unsubscripted(_name(node))
        case ast.Subscript(value=outer, slice=inner):
            return _subscripted(_name(outer), list(inner.elts) if isinstance(inner, ast.Tuple) else [inner])
    return ANY


def _name(node: ast.expr) -> str:
    """The last part of a dotted name."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _unsubscripted(name: str) -> Kind:
    if name in _LISTS:
        return ListKind()
    if name in _TUPLES:
        return TupleKind()
    if name in _SETS:
        return SetKind(frozen=_SETS[name])
    return DictKind() if name in _DICTS else _PLAIN.get(name, ANY)


def _subscripted(name: str, inner: list[ast.expr]) -> Kind:  # noqa: PLR0911 - a return for each type
    if name == "Optional" and len(inner) == 1:
        return union([_kind(inner[0]), NoneKind()])
    if name == "Union":
        return union([_kind(node) for node in inner])
    if name == "Literal":
        return _literal(inner)
    if name in _LISTS and len(inner) == 1:
        return ListKind(_kind(inner[0]))
    if name in _SETS and len(inner) == 1:
        return SetKind(_kind(inner[0]), frozen=_SETS[name])
    if name in _TUPLES:
        return _tuple(inner)
    if name in _DICTS and len(inner) == 2:
        return DictKind(_kind(inner[0]), _kind(inner[1]))
    return _PLAIN.get(name, ANY)


def _tuple(inner: list[ast.expr]) -> Kind:
    match inner:
        case [item, ast.Constant(value=dots)] if dots is Ellipsis:
            return TupleKind((_kind(item),))
    return TupleKind(tuple(_kind(node) for node in inner), variadic=False)


def _literal(inner: list[ast.expr]) -> Kind:
    try:
        choices = tuple(ast.literal_eval(node) for node in inner)
    except (ValueError, RecursionError):
        return ANY
    return LiteralKind(choices) if all(isinstance(one, (str, int, type(None))) for one in choices) else ANY


def union(kinds: list[Kind]) -> Kind:
    """One kind for several: nested choices are opened, the same one twice is one, anything swallows the rest."""
    opened = [one for kind in kinds for one in (kind.options if isinstance(kind, UnionKind) else (kind,))]
    different = tuple(dict.fromkeys(opened))
    if ANY in different:
        return ANY
    return different[0] if len(different) == 1 else UnionKind(different)
