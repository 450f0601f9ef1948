"""Notebooks of the formats 1 to 3 as they lie on disk, brought to format 4 by nbformat's own converters.

Those take a notebook that is valid in its format. What is missing without harm is added before; outputs that cannot be
converted are left out, because a run replaces them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from nbstep_runner.errors import BadInputError
from nbstep_runner.notebook.repair import Repairs


def upgrade(notebook: dict[str, Any], repairs: Repairs) -> dict[str, Any]:
    """The notebook in format 4, as far as it had what format 4 demands.

    Raises:
        BadInputError: It cannot be converted; the message says where it is not what its format says, or why.
    """
    if notebook["nbformat"] > 1:
        _complete(notebook, repairs)
    try:
        return _converted(notebook)
    except Exception:  # noqa: BLE001 - the converters stumble over any shape that they do not expect
        for _, cell in _cells(notebook):
            cell["outputs"] = []
    try:
        converted = _converted(notebook)
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise BadInputError(f"the notebook cannot be upgraded to format 4: {lines[0]}") from error
    repairs.note("its outputs could not be converted and were left out")
    return converted


def _complete(notebook: dict[str, Any], repairs: Repairs) -> None:
    """Add what the converters of the formats 2 and 3 demand, and refuse what is no notebook of these formats."""
    sheets = notebook.get("worksheets")
    if not isinstance(sheets, list):
        raise BadInputError(f"the notebook is of format {notebook['nbformat']} and has no list of 'worksheets'")
    for sheet in sheets:
        if not isinstance(sheet, dict) or not isinstance(sheet.get("cells"), list):
            raise BadInputError("the notebook is not valid: one of its worksheets has no list of 'cells'")
    if not isinstance(notebook.get("metadata"), dict):
        notebook["metadata"] = {}
        repairs.note("'metadata' was missing")
    for index, cell in _cells(notebook):
        if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
            raise BadInputError(f"the notebook is not valid: cell {index}, key 'cell_type': it has none")
        _complete_cell(index, cell, repairs)


def _complete_cell(index: int, cell: dict[str, Any], repairs: Repairs) -> None:
    is_code = cell["cell_type"] == "code"
    key = "input" if is_code else "source"
    text = cell.get(key)
    if not isinstance(text, str | list | None) or any(not isinstance(line, str) for line in text or ""):
        raise BadInputError(f"the notebook is not valid: cell {index}, key {key!r}: neither text nor a list of lines")
    if is_code and not isinstance(cell.get("outputs"), list):
        cell["outputs"] = []
        repairs.note("'outputs' was missing", index)
    if not isinstance(cell.get("metadata", {}), dict):
        del cell["metadata"]
        repairs.note("'metadata' was not valid and was left out", index)
    level = cell.get("level", 1)
    if not isinstance(level, int) or not 1 <= level <= 6:
        del cell["level"]
        repairs.note("'level' of a heading was not valid and was taken as 1", index)


def _cells(notebook: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    """All cells with their numbers once the worksheets are one."""
    sheets: list[dict[str, Any]] = notebook.get("worksheets") or [notebook]
    return enumerate(cell for sheet in sheets for cell in sheet.get("cells") or ())


def _converted(notebook: dict[str, Any]) -> dict[str, Any]:
    import nbformat

    major = notebook["nbformat"]
    with _silence():
        node = nbformat.versions[major].to_notebook_json(notebook, minor=notebook.get("nbformat_minor", 0))
        converted = nbformat.convert(node, 4)
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(converted))
    language = plain["metadata"].get("language")  # as IJulia and others named it then
    if isinstance(language, str) and language:
        plain["metadata"].setdefault("language_info", {"name": language.lower()})
    return plain


@contextmanager
def _silence() -> Iterator[None]:
    """Nbformat logs what is not valid before and after; what matters of it is repaired or refused afterwards."""
    from traitlets.log import get_logger

    logger: Any = get_logger()
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
