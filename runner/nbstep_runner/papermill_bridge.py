"""What nbstep does as papermill does it: where parameters go in a notebook, and what its metadata say of them.

papermill's rules are followed without its code, because importing papermill takes longer than starting a kernel; the
tests compare the outcome with papermill's own.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters.cells import first_tagged, source_text, tags
from nbstep_runner.parameters.jsonable import jsonable
from nbstep_runner.parameters.language import notebook_language
from nbstep_runner.parameters.languages import find_language

_MINOR = 5  # of nbformat 4: the first whose cells have ids
ERROR_MARKER_TAG = "papermill-error-cell-tag"


def parameterize(  # noqa: PLR0913 - what papermill's own three functions take together
    notebook: dict[str, Any],
    values: Mapping[str, Any],
    *,
    kernel: str | None,
    language: str | None,
    report_mode: bool,
    input_uri: str,
    output_uri: str,
) -> dict[str, Any]:
    """A copy of a version 4 notebook, upgraded to 4.5, with the values injected and papermill's metadata.

    The injected cell replaces the one of an earlier run, else follows the cell tagged ``parameters``, else comes first.
    Without values there is none. Cells that an earlier failure left as markers are gone.

    Args:
        notebook: Valid, of version 4.
        values: From ``Resolved.values``; secrets are written as expressions that read them.
        kernel: Overrides the notebook's kernel.
        language: Overrides the notebook's language.
        report_mode: Hide the input of every code cell.
        input_uri: For the metadata; as it may be shown, without credentials.
        output_uri: As ``input_uri``.

    Raises:
        BadInputError: The notebook is not of version 4 or nested too deeply, or its language cannot hold a value.
    """
    try:
        prepared = _upgraded(notebook)
    except RecursionError:
        raise BadInputError("the notebook's metadata is nested too deeply") from None
    cells = prepared["cells"] = [cell for cell in prepared["cells"] if ERROR_MARKER_TAG not in tags(cell)]
    metadata = _papermill_metadata(prepared)
    if values:
        spoken = notebook_language(notebook, kernel=kernel, language=language)
        declared = first_tagged(cells, "parameters")
        cell = "" if declared is None else source_text(cells[declared])
        _inject(cells, find_language(spoken).source(values, "Parameters", cell))
        metadata["parameters"] = {name: jsonable(value) for name, value in values.items()}
    metadata |= {"version": _papermill_version(), "input_path": input_uri, "output_path": output_uri}
    if report_mode:
        _hide_inputs(cells)
    return prepared


def _upgraded(notebook: dict[str, Any]) -> dict[str, Any]:
    """A copy of version 4.5; what a run changes is copied, outputs and sources are shared."""
    cells = notebook.get("cells")
    if notebook.get("nbformat") != 4 or not isinstance(cells, list):
        raise BadInputError("the notebook is not of nbformat 4", hint="Open it in Jupyter and save it again.")
    metadata = copy.deepcopy(notebook.get("metadata") or {})
    minor = notebook.get("nbformat_minor", 0)
    if minor < _MINOR:
        metadata["orig_nbformat_minor"] = minor  # nbformat's own note of an upgrade
    ids: set[str] = set()
    return {
        **notebook,
        "metadata": metadata,
        "nbformat_minor": max(minor, _MINOR),
        "cells": [_upgraded_cell(cell, ids) for cell in cells],
    }


def _upgraded_cell(cell: dict[str, Any], ids: set[str]) -> dict[str, Any]:
    """A copy with an id of its own and the metadata that papermill gives every cell."""
    identity = cell.get("id")
    if not isinstance(identity, str) or identity in ids:
        identity = _new_id()
    ids.add(identity)
    metadata = {"tags": [], **copy.deepcopy(cell.get("metadata") or {})}
    metadata["papermill"] = _mapping(metadata.get("papermill"))
    upgraded = {**cell, "id": identity, "metadata": metadata}
    if "outputs" in cell:
        upgraded["outputs"] = list(cell["outputs"])
    return upgraded


def _new_id() -> str:
    return uuid.uuid4().hex[:8]


def _papermill_metadata(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook's ``metadata.papermill``, with papermill's keys."""
    found: dict[str, Any] = _mapping(notebook["metadata"].get("papermill"))
    for key in ("default_parameters", "parameters", "environment_variables"):
        found[key] = _mapping(found.get(key))
    notebook["metadata"]["papermill"] = found
    return found


def _mapping(value: Any) -> dict[str, Any]:
    """A mapping as it is; a new one in place of what somebody else wrote there."""
    return value if isinstance(value, dict) else {}


def _inject(cells: list[dict[str, Any]], source: str) -> None:
    """Put the injected cell in its place."""
    injected: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": _new_id(),
        "metadata": {"tags": ["injected-parameters"], "papermill": {}},
        "outputs": [],
        "source": source,
    }
    earlier = first_tagged(cells, "injected-parameters")
    if earlier is not None:
        cells[earlier] = injected
        return
    declared = first_tagged(cells, "parameters")
    cells.insert(0 if declared is None else declared + 1, injected)


@cache
def _papermill_version() -> str:
    from importlib.metadata import version

    return version("papermill")


def _hide_inputs(cells: list[dict[str, Any]]) -> None:
    for cell in cells:
        if cell.get("cell_type") == "code":
            cell["metadata"].setdefault("jupyter", {})["source_hidden"] = True
