"""A notebook as it lies in storage: its text, its version, and its cells."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError
from nbstep_runner.notebook import parse_notebook, text_suffix
from nbstep_runner.stores import open_store


@dataclass(frozen=True, slots=True)
class StoredNotebook:
    """A notebook's text and what it says.

    Attributes:
        version: The store's version that was read, for writing conditionally.
    """

    uri: str
    text: str
    content: dict[str, Any]
    version: str

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells in order."""
        cells: list[dict[str, Any]] = self.content["cells"]
        return cells

    def source(self, index: int) -> str:
        """A cell's source as one text."""
        source = self.cells[index].get("source", "")
        return source if isinstance(source, str) else "".join(map(str, source))

    def tags(self, index: int) -> list[str]:
        """A cell's tags."""
        tags = self.cells[index].get("metadata", {}).get("tags", [])
        return tags if isinstance(tags, list) else []


def read_notebook(uri: str, storage: StorageOptions | None = None) -> StoredNotebook:
    """Read a notebook from anywhere that a store reaches, as a run reads it: what harmless faults need is done to it.

    Its text is what it was read from; of one that is kept as text, such as ``train.py``, the notebook that it means.

    Raises:
        BadInputError: It is not a notebook.
        UsageError: Reading it takes a library that is not installed.
        InputNotFoundError, StorageDeniedError, StorageUnavailableError: It cannot be read.
    """
    blob = open_store(uri, storage or StorageOptions()).read(uri)
    content = parse_notebook(blob.data, uri).content
    text = json.dumps(content) if text_suffix(uri) else blob.data.decode()
    return StoredNotebook(uri, text, content, blob.version)


def read_as_written(uri: str, storage: StorageOptions | None = None) -> StoredNotebook:
    """Read a notebook whose text is to be changed: its content is what the text says, and nothing is repaired.

    Raises:
        BadInputError: It is not a notebook of format 4.
        InputNotFoundError, StorageDeniedError, StorageUnavailableError: It cannot be read.
    """
    blob = open_store(uri, storage or StorageOptions()).read(uri)
    text, content = parse(blob.data)
    return StoredNotebook(uri, text, content, blob.version)


def label_of(name: str, longest: int, default: str) -> str:
    """What a name or a notebook's place is called where only small letters, digits and single hyphens are taken."""
    stem = PurePosixPath(name).name.removesuffix(".ipynb")
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:longest].rstrip("-") or default


def parse(data: bytes) -> tuple[str, dict[str, Any]]:
    """A notebook's text and content.

    Raises:
        BadInputError: It is not a notebook of format 4.
    """
    try:
        text = data.decode()
        content = json.loads(text)
    except UnicodeDecodeError as error:
        raise BadInputError(f"the notebook is not UTF-8: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise BadInputError(f"the notebook is not valid JSON: {error}") from error
    except RecursionError as error:
        raise BadInputError("the notebook is nested too deeply") from error
    return text, _checked(content)


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise BadInputError("the file is not a notebook: it has no 'nbformat' number")
    cells = content.get("cells")
    if content["nbformat"] != 4 or not isinstance(cells, list):
        raise BadInputError(
            f"the notebook's format is {content['nbformat']}, not 4",
            hint="Open it in Jupyter and save it, which brings it to format 4.",
        )
    if not all(isinstance(cell, dict) and isinstance(cell.get("metadata", {}), dict) for cell in cells):
        raise BadInputError("the notebook is not valid: a cell is not a JSON object")
    return content
