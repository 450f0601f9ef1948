"""Tagging a notebook's parameters cell, with every other byte of the file kept."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Final

from nbstep.authoring.json_text import Member, Span, elements, indentation, member, members, root
from nbstep.authoring.notebook import StoredNotebook, parse
from nbstep_runner.errors import BadInputError, InternalError

TAG: Final = "parameters"
UNITS_TO_METADATA: Final = 3
"""Levels of indentation before a cell's ``metadata`` key: the notebook's, the list's and the cell's."""


def tagged_cell(notebook: StoredNotebook) -> int | None:
    """The first cell tagged ``parameters``, which is the one that counts."""
    return next((index for index in range(len(notebook.cells)) if TAG in notebook.tags(index)), None)


def likely_cell(notebook: StoredNotebook) -> int | None:
    """The first code cell that only assigns literals to names."""
    for index, cell in enumerate(notebook.cells):
        if cell.get("cell_type") == "code" and assigns_only_literals(notebook.source(index)):
            return index
    return None


def assigns_only_literals(source: str) -> bool:
    """Whether Python source is one assignment of a literal to a name or more, and nothing else but comments."""
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return False
    return bool(statements) and all(map(_assigns_a_literal, statements))


def _assigns_a_literal(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Name()], value=value):
            return _is_literal(value)
        case ast.AnnAssign(target=ast.Name(), value=value):
            return value is None or _is_literal(value)
        case _:
            return False


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def with_tag(notebook: StoredNotebook, index: int) -> str:
    """The notebook's text with the cell tagged.

    Raises:
        BadInputError: Another cell is tagged already, or there is no such code cell.
    """
    _check_taggable(notebook, index)
    if TAG in notebook.tags(index):
        return notebook.text
    text = notebook.text
    cell = _cell_start(text, index)
    place = member(text, cell, "metadata")
    if place is None:
        raise BadInputError(f"the cell {index} has no metadata", hint="Open the notebook in Jupyter and save it.")
    tags = member(text, place.value.start, "tags")
    changed = _with_element(text, tags.value) if tags else _with_member(text, place)
    return _verified(changed, index, [*notebook.tags(index), TAG])


def without_tag(notebook: StoredNotebook, index: int) -> str:
    """The notebook's text with the tag taken from the cell; a list of tags that would be empty goes too."""
    text = notebook.text
    place = member(text, _cell_start(text, index), "metadata")
    tags = member(text, place.value.start, "tags") if place else None
    if place is None or tags is None or TAG not in notebook.tags(index):
        return text
    spans = list(elements(text, tags.value.start))
    position = notebook.tags(index).index(TAG)
    if len(spans) > 1:
        changed = _cut(text, spans, position)
    else:
        siblings = list(members(text, place.value.start))
        whole = [Span(each.key_start, each.value.end) for each in siblings]
        changed = _emptied(text, place.value) if len(whole) == 1 else _cut(text, whole, siblings.index(tags))
    return _verified(changed, index, [tag for tag in notebook.tags(index) if tag != TAG])


def _check_taggable(notebook: StoredNotebook, index: int) -> None:
    count = len(notebook.cells)
    if not 0 <= index < count:
        raise BadInputError(f"there is no cell {index}: the notebook has {count}, counted from 0")
    if notebook.cells[index].get("cell_type") != "code":
        raise BadInputError(f"the cell {index} is not a code cell", hint="Name a code cell with --cell.")
    tagged = tagged_cell(notebook)
    if tagged not in (None, index):
        raise BadInputError(
            f"the cell {tagged} is tagged already, and only the first tagged cell counts",
            hint="Take that tag away first: nbstep untag.",
        )


def _cell_start(text: str, index: int) -> int:
    cells = member(text, root(text), "cells")
    if cells is None:
        raise InternalError("the notebook's cells were not found in its text")
    return list(elements(text, cells.value.start))[index].start


def _with_member(text: str, metadata: Member) -> str:
    """``tags`` added after the other members of a cell's metadata, laid out as the file is."""
    inner = list(members(text, metadata.value.start))
    at = inner[-1].value.end if inner else metadata.value.start + 1
    base = indentation(text, metadata.key_start)
    comma = "," if inner else ""
    if base is None or (inner and indentation(text, inner[0].key_start) is None):
        return f'{text[:at]}{comma + " " if inner else ""}"tags": ["{TAG}"]{text[at:]}'
    unit = base[: len(base) // UNITS_TO_METADATA] or " "
    one, two = base + unit, base + 2 * unit
    end = "" if inner else f"\n{base}"
    return f'{text[:at]}{comma}\n{one}"tags": [\n{two}"{TAG}"\n{one}]{end}{text[at:]}'


def _with_element(text: str, tags: Span) -> str:
    """The tag added after the others of a list."""
    spans = list(elements(text, tags.start))
    if not spans:
        return f'{text[: tags.start]}["{TAG}"]{text[tags.end :]}'
    last = spans[-1]
    blanks = indentation(text, last.start)
    separator = " " if blanks is None else f"\n{blanks}"
    return f'{text[: last.end]},{separator}"{TAG}"{text[last.end :]}'


def _cut(text: str, parts: list[Span], index: int) -> str:
    """The text without one of several parts and without the comma that parted it from its neighbour."""
    if index:
        return text[: parts[index - 1].end] + text[parts[index].end :]
    return text[: parts[0].start] + text[parts[1].start :]


def _emptied(text: str, metadata: Span) -> str:
    return f"{text[: metadata.start]}{{}}{text[metadata.end :]}"


def _verified(text: str, index: int, tags: Iterable[str]) -> str:
    """The changed text, once it is certain that it says what it should: nothing is written that was not read back."""
    _, content = parse(text.encode())
    if content["cells"][index]["metadata"].get("tags", []) != list(tags):
        raise InternalError("the tag could not be changed in place")
    return text
