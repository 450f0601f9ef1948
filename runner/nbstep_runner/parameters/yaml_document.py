"""YAML built from its parser's events, so that every limit holds before anything is made.

A bomb of aliases costs what it takes to count it. Plain scalars come out as ``Plain``, which keeps their text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from nbstep_runner.parameters.limits import Budget, RefusedError, check_depth
from nbstep_runner.parameters.plain import MAX_NUMBER_CHARACTERS, Plain

EMPTY: Final = Plain("")
_STANDARD: Final = "tag:yaml.org,2002:"
_TYPED_TAGS: Final = frozenset(f"{_STANDARD}{name}" for name in ("null", "bool", "int", "float"))
_TEXT_TAGS: Final = frozenset(("!", f"{_STANDARD}str", f"{_STANDARD}timestamp"))
_MERGE: Final = Plain("<<")
_MAX_DIRECTIVES: Final = 16  # the parser compares each %TAG directive with all before it


def read_yaml(text: str) -> Any:
    """What the one document of a YAML text holds; ``Plain("")`` where there is none.

    Raises:
        RefusedError: It is not YAML, too deep or too large, has a key twice, or a tag that is not allowed.
    """
    if sum(line.startswith("%") for line in text.splitlines()) > _MAX_DIRECTIVES:
        raise RefusedError(f"it has more than {_MAX_DIRECTIVES} directives")
    try:
        return _Builder(yaml.parse(text, Loader=_Loader)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise RefusedError(f"{error.problem or error.context}{place}") from None
    except yaml.YAMLError as error:
        raise RefusedError(" ".join(str(error).split())) from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
    """The safe loader, of which only the parser is used: it makes events, never objects."""


class _Builder:
    """Builds one document; aliases are charged for all that they repeat."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._budget = Budget()
        self._anchors: dict[str, tuple[Any, int] | None] = {}  # value and size; None while it is being built

    def document(self) -> Any:
        found: list[Any] = []
        for event in self._events:
            if isinstance(event, DocumentStartEvent):
                if found:
                    raise RefusedError("it holds more than one document")
                found.append(self._node(next(self._events), 0))
        return found[0] if found else EMPTY

    def _node(self, event: Any, depth: int) -> Any:
        check_depth(depth)
        if isinstance(event, AliasEvent):
            return self._repeated(event, depth)
        self._open_anchor(event)
        before = self._budget.left
        self._budget.spend(1)
        value = self._content(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, before - self._budget.left)
        return value

    def _open_anchor(self, event: NodeEvent) -> None:
        if event.anchor in self._anchors:
            raise RefusedError(f"the anchor &{str(event.anchor)[:60]} stands twice")
        if event.anchor:
            self._anchors[event.anchor] = None

    def _repeated(self, event: AliasEvent, depth: int) -> Any:
        name = str(event.anchor)[:60]
        if event.anchor not in self._anchors:
            raise RefusedError(f"the alias *{name} has no anchor before it")
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise RefusedError(f"the alias *{name} stands inside its own anchor")
        value, size = anchored
        self._budget.spend(size)
        _check_height(value, depth)
        return value

    def _content(self, event: Any, depth: int) -> Any:
        if isinstance(event, ScalarEvent):
            return _scalar(event)
        if isinstance(event, SequenceStartEvent):
            _check_tag(event.tag, "seq")
            return [self._node(item, depth + 1) for item in self._until_end()]
        _check_tag(event.tag, "map")
        return self._mapping(depth)

    def _until_end(self) -> Iterator[Event]:
        while not isinstance(event := next(self._events), CollectionEndEvent):
            yield event

    def _mapping(self, depth: int) -> dict[Any, Any]:
        own: dict[str, tuple[Any, Any]] = {}
        merged: list[dict[Any, Any]] = []
        for event in self._until_end():
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if key == _MERGE:
                merged += _merged(value)
                continue
            name = _key_text(key)
            if name in own:
                raise RefusedError(f"the key {name[:60]!r} stands twice in one mapping")
            own[name] = (key, value)
        for mapping in merged:
            for key, value in mapping.items():
                own.setdefault(_key_text(key), (key, value))
        return dict(own.values())


def _merged(value: Any) -> list[dict[Any, Any]]:
    """The mappings that a merge key (``<<``) brings in, the strongest first."""
    mappings = value if isinstance(value, list) else [value]
    if not all(isinstance(mapping, dict) for mapping in mappings):
        raise RefusedError("the merge key << takes a mapping or a list of mappings")
    return mappings


def _key_text(key: Any) -> str:
    """What tells keys apart: their text, because it is all that JSON keeps of them."""
    if isinstance(key, (list, dict)):
        raise RefusedError("a key is a list or a mapping")
    return key.text if isinstance(key, Plain) else str(key)


def _scalar(event: ScalarEvent) -> Any:
    if event.tag is None:
        return Plain(event.value) if event.implicit[0] else event.value
    if event.tag in _TEXT_TAGS:
        return event.value
    if event.tag not in _TYPED_TAGS:
        raise _tag_refused(event.tag)
    try:
        if len(event.value) > MAX_NUMBER_CHARACTERS:
            raise ValueError  # noqa: TRY301 - the same answer as for what the constructor cannot read
        return yaml.SafeLoader("").construct_object(yaml.ScalarNode(event.tag, event.value))
    except (ValueError, LookupError, OverflowError):
        raise RefusedError(f"{event.value[:60]!r} is no {_tag_name(event.tag)}") from None


def _check_tag(tag: str | None, standard: str) -> None:
    if tag not in (None, "!", _STANDARD + standard):
        raise _tag_refused(tag)


def _tag_refused(tag: str) -> RefusedError:
    return RefusedError(f"the tag {_tag_name(tag)} is not allowed")


def _tag_name(tag: str) -> str:
    return ascii(tag.replace(_STANDARD, "!!")[:60]).strip("'")


def _check_height(value: Any, depth: int) -> None:
    check_depth(depth)
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        _check_height(item, depth + 1)
