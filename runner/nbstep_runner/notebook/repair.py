"""Harmless violations of the notebook format: each is repaired, and told with its place.

Jupyter and papermill run such notebooks as they are, so nbstep runs them too; but what it publishes is valid. A
repair leaves what cells say and do as it is; where that is in doubt the notebook is refused.
"""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

from nbstep_runner.errors import BadInputError
from nbstep_runner.notebook import format as schema

NOTEBOOK_KEYS: Final = frozenset({"cells", "metadata", "nbformat", "nbformat_minor"})
CELL_KEYS: Final = {
    "code": frozenset({"cell_type", "id", "metadata", "source", "outputs", "execution_count"}),
    "markdown": frozenset({"cell_type", "id", "metadata", "source", "attachments"}),
    "raw": frozenset({"cell_type", "id", "metadata", "source", "attachments"}),
}
CELL_METADATA: Final = {"code": schema.CodeMetadata, "raw": schema.RawMetadata}
OUTPUT_PARTS: Final[dict[str, dict[str, Any]]] = {
    "stream": {"name": "stdout", "text": ""},
    "display_data": {"data": {}, "metadata": {}},
    "execute_result": {"data": {}, "metadata": {}, "execution_count": None},
    "error": {"ename": "", "evalue": "", "traceback": []},
}
"""What each output consists of besides its type, and what stands for a part that is missing."""
SHOWN_PLACES: Final = 5
SHOWN_REPAIRS: Final = 12


class Repairs:
    """What was repaired: each kind of repair with the cells where it was due."""

    def __init__(self) -> None:
        self._cells: dict[str, list[int | None]] = {}

    def note(self, what: str, cell: int | None = None) -> None:
        """Write down a repair of a cell, or of the notebook as a whole."""
        places = self._cells.setdefault(what, [])
        if cell not in places[-1:]:
            places.append(cell)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence that says what was repaired and where; none where nothing was."""
        if not self._cells:
            return ()
        told = [f"{_place(cells)}: {what}" for what, cells in self._cells.items()]
        left_out = [f"and {len(told) - SHOWN_REPAIRS} other repairs"] if len(told) > SHOWN_REPAIRS else []
        return ("the notebook was repaired where it breaks its format: " + "; ".join(told[:SHOWN_REPAIRS] + left_out),)


def _place(cells: list[int | None]) -> str:
    numbers = [str(cell) for cell in cells if cell is not None]
    if not numbers:
        return "the notebook"
    more = f" and {len(numbers) - SHOWN_PLACES} more" if len(numbers) > SHOWN_PLACES else ""
    return f"cell{'s' if len(numbers) > 1 else ''} {', '.join(numbers[:SHOWN_PLACES])}{more}"


def not_valid(cell: int, key: str, reason: str) -> BadInputError:
    """The refusal of a notebook for what a cell holds under a key."""
    return BadInputError(f"the notebook is not valid: cell {cell}, key {key!r}: {reason}")


def repair(notebook: dict[str, Any], repairs: Repairs) -> None:
    """Bring a notebook of format 4 to 4.5 in place, whatever it lacks or has too much of.

    A minor version of the future keeps its number and what it adds, as nbformat has it.

    Raises:
        BadInputError: It cannot be told what a cell is or what it says; the message says which one, and why.
    """
    minor = _minor(notebook, repairs)
    if minor <= schema.MINOR:
        _keep(notebook, NOTEBOOK_KEYS, repairs)
    _repair_metadata(notebook, repairs)
    if minor < schema.MINOR:
        notebook["metadata"]["orig_nbformat_minor"] = minor  # nbformat's own note of an upgrade
    cells = notebook.get("cells")
    if not isinstance(cells, list):
        raise BadInputError("the notebook has no list of 'cells'")
    ids: set[str] = set()
    for index, cell in enumerate(cells):
        if not isinstance(cell, dict):
            raise BadInputError(f"the notebook is not valid: cell {index} is not a JSON object")
        _CellRepair(index, cell, minor, repairs).repair(ids)
    notebook["nbformat_minor"] = max(minor, schema.MINOR)


def _minor(notebook: dict[str, Any], repairs: Repairs) -> int:
    minor = notebook.get("nbformat_minor")
    if not schema.is_valid(minor, schema.Count):
        repairs.note(f"'nbformat_minor' is no number and was taken as {schema.MINOR}")
        return schema.MINOR
    found = int(minor or 0)
    if found > schema.MINOR:
        repairs.note(f"its format 4.{found} is newer than 4.{schema.MINOR}; what it adds was kept unread")
    return found


def _keep(holder: dict[str, Any], keys: frozenset[str], repairs: Repairs, cell: int | None = None) -> None:
    for key in [key for key in holder if key not in keys]:
        del holder[key]
        repairs.note(f"{key[:60]!r} does not belong there and was left out", cell)


def _repair_metadata(notebook: dict[str, Any], repairs: Repairs) -> None:
    found = notebook.get("metadata")
    if not isinstance(found, dict):
        repairs.note("'metadata' was missing")
    metadata: dict[str, Any] = found if isinstance(found, dict) else {}
    notebook["metadata"] = metadata
    _repair_kernelspec(metadata, repairs)
    _repair_language(metadata, repairs)
    for key in schema.NotebookMetadata.__struct_fields__:
        if key in metadata and not _fits(metadata[key], key, schema.NotebookMetadata):
            del metadata[key]
            repairs.note(f"'metadata.{key}' was not valid and was left out")


def _repair_language(metadata: dict[str, Any], repairs: Repairs) -> None:
    """Of a description that is not valid the language's name is kept, which decides on the kernel."""
    described = metadata.get("language_info")
    if not isinstance(described, dict) or not isinstance(described.get("name"), str):
        return
    for key in schema.LanguageInfo.__struct_fields__:
        if key in described and not schema.is_valid({"name": "", key: described[key]}, schema.LanguageInfo):
            del described[key]
            repairs.note(f"'metadata.language_info.{key}' was not valid and was left out")


def _repair_kernelspec(metadata: dict[str, Any], repairs: Repairs) -> None:
    """A kernelspec without a name says at most a language, which is kept where Jupyter keeps it."""
    kernelspec = metadata.get("kernelspec")
    if not isinstance(kernelspec, dict):
        return
    name, language = kernelspec.get("name"), kernelspec.get("language")
    if not isinstance(name, str):
        del metadata["kernelspec"]
        repairs.note("'metadata.kernelspec' names no kernel and was left out")
        if isinstance(language, str) and language and "language_info" not in metadata:
            metadata["language_info"] = {"name": language}
    elif not isinstance(kernelspec.get("display_name"), str):
        kernelspec["display_name"] = name
        repairs.note("'metadata.kernelspec.display_name' was missing")


class _CellRepair:
    """The repair of one cell.

    Args:
        index: Its number, from 0, as the record counts.
        cell: Changed in place.
        minor: The notebook's minor version as it says.
        repairs: Hears of each.
    """

    def __init__(self, index: int, cell: dict[str, Any], minor: int, repairs: Repairs) -> None:
        self._index = index
        self._cell = cell
        self._minor = minor
        self._repairs = repairs

    def _note(self, what: str) -> None:
        self._repairs.note(what, self._index)

    def repair(self, ids: set[str]) -> None:
        """Repair it; ``ids`` are those that are taken."""
        cell = self._cell
        self._repair_type()
        self._repair_source()
        self._repair_id(ids)
        self._repair_metadata()
        if cell["cell_type"] == "code":
            self._repair_code()
        elif "attachments" in cell and not schema.are_attachments(cell["attachments"]):
            del cell["attachments"]
            self._note("'attachments' was no mapping of MIME bundles and was left out")
        if self._minor <= schema.MINOR:
            _keep(cell, CELL_KEYS[cell["cell_type"]], self._repairs, self._index)

    def _repair_type(self) -> None:
        """Unknown types are raw cells to JupyterLab too, and none is code to any reader; headings were in format 3."""
        kind = self._cell.get("cell_type")
        if not isinstance(kind, str) or kind.lower() == "code" != kind:
            raise not_valid(self._index, "cell_type", "it does not say whether the cell is code")
        if kind in CELL_KEYS or self._minor > schema.MINOR:
            return
        self._cell["cell_type"] = "markdown" if kind in ("heading", "html") else "raw"
        if kind == "heading" and isinstance(source := self._cell.get("source"), str | list):
            level = self._cell.get("level")
            mark = "#" * (level if isinstance(level, int) and 1 <= level <= 6 else 1)
            self._cell["source"] = f"{mark} {' '.join(''.join(map(str, source)).split())}"
        self._note(f"its type {kind[:60]!r} is unknown, and it was made a {self._cell['cell_type']} cell")

    def _repair_source(self) -> None:
        cell = self._cell
        if cell.get("source") is None:
            cell["source"] = cell.pop("input", "")  # its name in format 3
            self._note("'source' was missing")
        if not schema.is_valid(cell["source"], schema.Text):
            raise not_valid(self._index, "source", "it is neither text nor a list of lines")

    def _repair_id(self, ids: set[str]) -> None:
        identity = self._cell.get("id")
        if "id" in self._cell and self._minor < schema.MINOR:
            self._note(f"its 'id' is of format 4.{schema.MINOR}, to which the notebook was brought")
        if not schema.is_valid(identity, schema.Id) or identity in ids:
            if "id" in self._cell or self._minor >= schema.MINOR:
                self._note("'id' was missing, taken or malformed, and was made anew")
            identity = self._cell["id"] = uuid.uuid4().hex[:8]
        ids.add(str(identity))

    def _repair_metadata(self) -> None:
        metadata = self._cell.get("metadata")
        if not isinstance(metadata, dict):
            self._note("'metadata' was missing")
            metadata = self._cell["metadata"] = {}
        self._repair_tags(metadata)
        kind = CELL_METADATA.get(self._cell["cell_type"], schema.CellMetadata)
        if kind is schema.CodeMetadata and isinstance(execution := metadata.get("execution"), dict):
            for key in [key for key, value in execution.items() if not isinstance(value, str)]:
                del execution[key]
                self._note(f"'metadata.execution.{key[:60]}' was not text and was left out")
        for key in kind.__struct_fields__:
            if key in metadata and not _fits(metadata[key], key, kind):
                del metadata[key]
                self._note(f"'metadata.{key}' was not valid and was left out")

    def _repair_tags(self, metadata: dict[str, Any]) -> None:
        """Tags are distinct texts without commas; a text alone is one or more of them."""
        found = metadata.get("tags", [])
        texts = (
            found if isinstance(found, list) else re.split(r"\s*,\s*", found.strip()) if isinstance(found, str) else []
        )
        parts = [part for text in texts if isinstance(text, str) for part in text.split(",") if part]
        tags = list(dict.fromkeys(parts))
        if tags != found:
            metadata["tags"] = tags
            self._note("'metadata.tags' was no list of distinct tags and was made one")

    def _repair_code(self) -> None:
        cell = self._cell
        if not schema.is_valid(cell.get("execution_count", ""), schema.Count | None):
            cell["execution_count"] = None
            self._note("'execution_count' was missing or no number")
        outputs = cell.get("outputs")
        if not isinstance(outputs, list):
            outputs = []
            self._note("'outputs' was missing")
        cell["outputs"] = [output for output in outputs if self._repair_output(output)]

    def _repair_output(self, output: Any) -> bool:
        """Whether an output is one, once it is repaired."""
        kind = output.get("output_type") if isinstance(output, dict) else None
        if self._minor > schema.MINOR and isinstance(kind, str) and kind not in OUTPUT_PARTS:
            return True
        parts = OUTPUT_PARTS.get(kind) if isinstance(kind, str) else None
        if parts is None:
            self._note("an output of unknown type was left out")
            return False
        for key in [key for key in parts if key not in output]:
            output[key] = type(parts[key])() if isinstance(parts[key], dict | list) else parts[key]
            self._note(f"{key!r} of an output was missing")
        if self._minor <= schema.MINOR:
            for key in [key for key in output if key not in parts and key != "output_type"]:
                del output[key]
                self._note(f"{key[:60]!r} of an output was left out")
        known = {key: output[key] for key in ("output_type", *parts)}
        if not schema.is_valid(known, schema.Stream | schema.DisplayData | schema.ExecuteResult | schema.Error):
            self._note(f"an output of type {kind!r} was not valid and was left out")
            return False
        return True


def _fits(value: Any, key: str, holder: Any) -> bool:
    return schema.is_valid({key: value}, holder)
