"""The kinds that are made of other kinds: choices, lists, tuples, sets and mappings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters.kinds import (
    ANY,
    BoolKind,
    IntKind,
    Kind,
    MismatchError,
    NoneKind,
    StrKind,
    distinct,
    shown,
)
from nbstep_runner.parameters.plain import Plain, Typed


@dataclass(frozen=True, slots=True)
class LiteralKind(Kind):
    """One of the values that ``Literal[...]`` lists, of exactly that type."""

    choices: tuple[Any, ...]

    def _convert(self, value: Any) -> Any:
        for choice in self.choices:
            found = _attempt(_KIND_OF_CHOICE.get(type(choice), ANY), value)
            if type(found) is type(choice) and found == choice:
                return choice
        raise MismatchError(f"{shown(value)} is none of {', '.join(map(repr, self.choices))}")

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.choices)}

    def __str__(self) -> str:
        return f"Literal[{', '.join(map(repr, self.choices))}]"


@dataclass(frozen=True, slots=True)
class UnionKind(Kind):
    """Any of some kinds: one that keeps the type which the value has without a declaration, else the first that fits.

    So ``5`` is 5 to ``int | str`` and to ``str | int``, and ``no`` is ``"no"`` to ``int | str``.
    """

    options: tuple[Kind, ...]

    def _convert(self, value: Any) -> Any:
        fits = [found for option in self.options if (found := _attempt(option, value)) is not _NO]
        if not fits:
            raise self.mismatch(value)
        natural = ANY.accept(value)
        return next((found for found in fits if _same_type(found, natural)), fits[0])

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [option.schema() for option in self.options]}

    def __str__(self) -> str:
        return " | ".join(map(str, self.options))


@dataclass(frozen=True, slots=True)
class ListKind(Kind):
    """A list of one kind."""

    item: Kind = ANY

    def _convert(self, value: Any) -> list[Any]:
        found = _opened(value)
        if not isinstance(found, list):
            raise self.mismatch(value)
        return [_accept_at(self.item, item, str(index)) for index, item in enumerate(found)]

    def schema(self) -> dict[str, Any]:
        return {"type": "array"} if self.item == ANY else {"type": "array", "items": self.item.schema()}

    def __str__(self) -> str:
        return "list" if self.item == ANY else f"list[{self.item}]"


@dataclass(frozen=True, slots=True)
class TupleKind(Kind):
    """A tuple, from a list: ``items`` in their places, or any number of ``items[0]`` where ``variadic``."""

    items: tuple[Kind, ...] = (ANY,)
    variadic: bool = True

    def _convert(self, value: Any) -> tuple[Any, ...]:
        found = _opened(value)
        if not isinstance(found, list):
            raise self.mismatch(value)
        kinds = self.items * len(found) if self.variadic else self.items
        if len(found) != len(kinds):
            raise MismatchError(f"{shown(found)} is not of type {self}, which has {len(kinds)}")
        return tuple(
            _accept_at(kind, item, str(index)) for index, (kind, item) in enumerate(zip(kinds, found, strict=True))
        )

    def schema(self) -> dict[str, Any]:
        if self.variadic:
            return ListKind(self.items[0]).schema()
        places = {"prefixItems": [item.schema() for item in self.items]} if self.items else {}
        return {"type": "array", **places, "minItems": len(self.items), "maxItems": len(self.items)}

    def __str__(self) -> str:
        if self.variadic:
            return "tuple" if self.items == (ANY,) else f"tuple[{self.items[0]}, ...]"
        return f"tuple[{', '.join(map(str, self.items)) or '()'}]"


@dataclass(frozen=True, slots=True)
class SetKind(Kind):
    """A set, from a list; members that are equal are one. ``frozen`` makes a ``frozenset`` of it."""

    item: Kind = ANY
    frozen: bool = False

    def _convert(self, value: Any) -> set[Any] | frozenset[Any]:
        found = _opened(value)
        if not isinstance(found, list):
            raise self.mismatch(value)
        members = [_accept_at(self.item, item, str(index)) for index, item in enumerate(found)]
        try:
            return frozenset(members) if self.frozen else set(members)
        except TypeError:
            raise MismatchError(f"{shown(found)} holds lists or mappings, which no set can") from None

    def schema(self) -> dict[str, Any]:
        return ListKind(self.item).schema()

    def __str__(self) -> str:
        name = "frozenset" if self.frozen else "set"
        return name if self.item == ANY else f"{name}[{self.item}]"


@dataclass(frozen=True, slots=True)
class DictKind(Kind):
    """A mapping. Its keys are read from text, because JSON has no other keys."""

    key: Kind = ANY
    item: Kind = ANY

    def _convert(self, value: Any) -> dict[Any, Any]:
        found = _opened(value)
        if not isinstance(found, dict):
            raise self.mismatch(value)
        pairs = {self._key(key): _accept_at(self.item, item, shown(key)) for key, item in found.items()}
        return distinct(found, pairs)

    def _key(self, key: Any) -> Any:
        as_written = _attempt(self.key, key)
        if as_written is not _NO or not isinstance(key, str):
            return _accept_at(self.key, key, shown(key))
        return _accept_at(self.key, Plain(key), shown(key))

    def schema(self) -> dict[str, Any]:
        return (
            {"type": "object"} if self.item == ANY else {"type": "object", "additionalProperties": self.item.schema()}
        )

    def __str__(self) -> str:
        return "dict" if self.key == self.item == ANY else f"dict[{self.key}, {self.item}]"


_NO = object()
_KIND_OF_CHOICE: dict[type, Kind] = {bool: BoolKind(), int: IntKind(), str: StrKind(), type(None): NoneKind()}


def _attempt(kind: Kind, value: Any) -> Any:
    try:
        return kind.accept(value)
    except MismatchError:
        return _NO


def _same_type(found: Any, natural: Any) -> bool:
    """Whether a value kept its type; text has none to keep, and an int may have become a float."""
    if isinstance(natural, str):
        return False
    return type(found) is type(natural) or (type(natural) is int and type(found) is float)


def _accept_at(kind: Kind, value: Any, step: str) -> Any:
    try:
        return kind.accept(value)
    except MismatchError as error:
        raise error.inside(step) from None


def _opened(value: Any) -> Any:
    """A list or mapping typed on a command line is YAML."""
    if not isinstance(value, Typed):
        return value
    from nbstep_runner.parameters.safe_yaml import load_document

    try:
        return load_document(value.text.encode(errors="surrogateescape"), where="the value")
    except BadInputError as error:
        raise MismatchError(error.message) from None
