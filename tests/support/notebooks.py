"""Small notebooks, written down where a test needs them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PYTHON = {"name": "python3", "display_name": "Python 3", "language": "python"}


@dataclass(frozen=True)
class Code:
    """A code cell with tags or other metadata; a plain string is one without."""

    source: str
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """A Markdown cell."""

    source: str


Cell = str | Code | Text


def notebook(cells: Sequence[Cell], *, kernelspec: Mapping[str, str] | None = PYTHON) -> dict[str, Any]:
    """An nbformat 4.5 notebook; without a kernelspec it does not say what runs it."""
    metadata = {"kernelspec": dict(kernelspec)} if kernelspec else {}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": metadata,
        "cells": [_cell(cell, index) for index, cell in enumerate(cells)],
    }


def write(path: Path, cells: Sequence[Cell], *, kernelspec: Mapping[str, str] | None = PYTHON) -> Path:
    """Such a notebook as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook(cells, kernelspec=kernelspec)))
    return path


def _cell(cell: Cell, index: int) -> dict[str, Any]:
    if isinstance(cell, Text):
        return {"cell_type": "markdown", "id": f"cell-{index}", "metadata": {}, "source": cell.source}
    code = Code(cell) if isinstance(cell, str) else cell
    metadata = dict(code.metadata) | ({"tags": list(code.tags)} if code.tags else {})
    return {
        "cell_type": "code",
        "id": f"cell-{index}",
        "metadata": metadata,
        "source": code.source,
        "outputs": [],
        "execution_count": None,
    }
