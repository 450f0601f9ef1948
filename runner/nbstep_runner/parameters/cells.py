"""Finding cells by their tags, in notebooks of any shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def first_tagged(cells: Any, tag: str) -> int | None:
    """The index of the first code cell with the tag, else of the first cell with it; ``None`` where there is none.

    Text may be tagged too, and papermill takes it; but only after the code can values replace its defaults.
    """
    tagged = [index for index, cell in enumerate(cells if isinstance(cells, list) else ()) if tag in tags(cell)]
    code = [index for index in tagged if cells[index].get("cell_type", "code") == "code"]
    return next(iter(code or tagged), None)


def tags(cell: Any) -> list[Any]:
    """The tags of a cell."""
    metadata = cell.get("metadata") if isinstance(cell, Mapping) else None
    found = metadata.get("tags") if isinstance(metadata, Mapping) else None
    if isinstance(found, str):  # as a run repairs it
        return [tag.strip() for tag in found.split(",")]
    return found if isinstance(found, list) else []


def source_text(cell: Mapping[str, Any]) -> str:
    """The source of a cell, which a file may hold as a list of lines."""
    source = cell.get("source")
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""
