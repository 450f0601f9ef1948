"""Finding cells by their tags, in notebooks of any shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def first_tagged(cells: Any, tag: str) -> int | None:
    """The index of the first cell with the tag; ``None`` where there is none."""
    if not isinstance(cells, list):
        return None
    return next((index for index, cell in enumerate(cells) if tag in tags(cell)), None)


def tags(cell: Any) -> list[Any]:
    """The tags of a cell."""
    metadata = cell.get("metadata") if isinstance(cell, Mapping) else None
    found = metadata.get("tags") if isinstance(metadata, Mapping) else None
    return found if isinstance(found, list) else []


def source_text(cell: Mapping[str, Any]) -> str:
    """The source of a cell, which a file may hold as a list of lines."""
    source = cell.get("source")
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""
