"""What a cell asks for: its kind, tags, title and own deadline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

SKIP: Final = "skip-execution"
MAY_RAISE: Final = "raises-exception"
PARAMETERS: Final = ("parameters", "injected-parameters")
TITLE_LENGTH: Final = 60
DESCRIPTION: Final = "papermill_description="


def is_code(cell: dict[str, Any]) -> bool:
    """Whether the cell holds code, even if empty."""
    return bool(cell["cell_type"] == "code")


def source_of(cell: dict[str, Any]) -> str:
    """The cell's text."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def has_tag(cell: dict[str, Any], tag: str) -> bool:
    """Whether the cell carries a tag."""
    return tag in (cell["metadata"].get("tags") or ())


@dataclass(frozen=True, slots=True)
class Selection:
    """Which code cells run, by their tags; without any, all but those that ask to be skipped.

    Attributes:
        only: Cells with one of these tags, and the parameters.
        skipped: Not those with one of these.
    """

    only: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def leaves_out(self, cell: dict[str, Any]) -> bool:
        """Whether a code cell is passed over."""
        if any(has_tag(cell, tag) for tag in (SKIP, *self.skipped)):
            return True
        return bool(self.only) and not any(has_tag(cell, tag) for tag in (*self.only, *PARAMETERS))

    def strangers(self, cells: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
        """The tags in ``only`` and in ``skipped`` that no code cell has."""
        code = [cell for cell in cells if is_code(cell)]
        only, skipped = (
            [tag for tag in tags if not any(has_tag(cell, tag) for cell in code)] for tags in (self.only, self.skipped)
        )
        return only, skipped


def timeout_of(cell: dict[str, Any]) -> float | None:
    """The cell's own deadline in seconds (``metadata.execution.timeout``); ``None`` without a usable one.

    It is text, because nbformat 4.5 allows nothing else below ``execution``; reading a notebook makes numbers text.
    """
    execution = cell["metadata"].get("execution")
    try:
        seconds = float(execution["timeout"]) if isinstance(execution, dict) else 0.0
    except (KeyError, TypeError, ValueError):
        return None
    return seconds if 0 < seconds < math.inf else None


def title_of(cell: dict[str, Any]) -> str:
    """What to call the cell: its name, papermill's description comment, or its first line."""
    name = cell["metadata"].get("name")
    if isinstance(name, str) and name.strip():
        return name.strip()[:TITLE_LENGTH]
    source = source_of(cell)
    if DESCRIPTION in source:
        described = source.split(DESCRIPTION, 1)[1].split(maxsplit=1)
        if described:
            return described[0][:TITLE_LENGTH]
    first = next((line.strip() for line in source.splitlines() if line.strip()), "")
    return first.lstrip("#").strip()[:TITLE_LENGTH] or first[:TITLE_LENGTH]
