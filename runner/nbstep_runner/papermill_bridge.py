"""What nbstep takes from papermill: where parameters go in a notebook, its metadata, its inspection, its translators.

This is the only module that imports papermill, and only for a language that ``parameters.languages`` does not write or
inspect, because importing papermill takes longer than starting a kernel. Where a rule of papermill's is followed here
without calling it, the tests compare the outcome with papermill's own.
"""

from __future__ import annotations

import copy
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters.carriable import carriable
from nbstep_runner.parameters.cells import first_tagged, source_text, tags
from nbstep_runner.parameters.jsonable import jsonable
from nbstep_runner.parameters.kinds import ANY, MismatchError
from nbstep_runner.parameters.language import notebook_kernel, notebook_language
from nbstep_runner.parameters.languages import find_language, is_known
from nbstep_runner.parameters.model import Parameter
from nbstep_runner.parameters.secret import secrets_in

_MINOR = 5  # of nbformat 4: the first whose cells have ids
_ERROR_MARKER_TAG = "papermill-error-cell-tag"
_PAPERMILL_NAMES = {"csharp": ".net-csharp", "fsharp": ".net-fsharp", "powershell": ".net-powershell"}
# What papermill.iorw imports where it is installed, for storage that nbstep reaches on its own; up to 0.7 s.
_STORAGE_LIBRARIES = ("boto3", "azure", "gcsfs", "pyarrow", "github")


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
    cells = prepared["cells"] = [cell for cell in prepared["cells"] if _ERROR_MARKER_TAG not in tags(cell)]
    metadata = _papermill_metadata(prepared)
    if values:
        named, spoken = default_kernel_language(notebook, kernel, language)
        _inject(cells, translate(values, kernel=named, language=spoken))
        metadata["parameters"] = {name: jsonable(value) for name, value in values.items()}
    metadata |= {"version": _papermill_version(), "input_path": input_uri, "output_path": output_uri}
    if report_mode:
        _hide_inputs(cells)
    return prepared


def translate(
    values: Mapping[str, Any], *, kernel: str | None, language: str | None, comment: str = "Parameters"
) -> str:
    """The source of the injected cell: a comment, and an assignment a line.

    Args:
        values: From ``Resolved.values``.
        comment: The first line.
        kernel: A kernel's name, which may tell the language as papermill's registry has it.
        language: The notebook's language.

    Raises:
        BadInputError: The language cannot be written, or cannot hold a value; the value is not repeated.
    """
    spoken = notebook_language({}, kernel=kernel, language=language)
    if is_known(spoken):
        return find_language(spoken).source(values, comment)
    return _papermill_source(values, kernel, spoken, comment)


def infer_parameters(
    notebook: Mapping[str, Any], *, kernel: str | None, language: str | None
) -> tuple[Parameter, ...] | None:
    """What papermill's inspection finds in the parameters cell; ``None`` where it finds nothing."""
    cells = notebook.get("cells")
    index = first_tagged(cells, "parameters")
    if not isinstance(cells, list) or index is None:
        return None
    named, spoken = default_kernel_language(notebook, kernel, language)
    try:
        found = _papermill_translator(named, spoken).inspect({"source": source_text(cells[index])})
    except Exception:  # noqa: BLE001 - translators raise what they like; a failed inspection is none
        return None
    return tuple(_parameter(one) for one in found) or None


def default_kernel_language(
    notebook: Mapping[str, Any], kernel: str | None, language: str | None
) -> tuple[str | None, str]:
    """The kernel's name (``None``: none is named) and the language of a notebook."""
    return kernel or notebook_kernel(notebook), notebook_language(notebook, kernel=kernel, language=language)


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


def _papermill_source(values: Mapping[str, Any], kernel: str | None, language: str, comment: str) -> str:
    """The source by papermill's own translator, for a language that papermill knows and nbstep does not."""
    try:
        translator = _papermill_translator(kernel, language)
    except LookupError:
        raise BadInputError(
            f"parameters cannot be written in the language {language!r}",
            hint="Run the notebook without parameters, or let it read environment variables.",
        ) from None
    writer = find_language(language)
    for name, value in values.items():
        secret = "a secret cannot be read at run time in this language" if [*secrets_in(value)] else ""
        if problem := writer.name_problem(name) or secret:
            raise BadInputError(f"{name!a}: {problem}")
    try:
        plain = {name: ANY.accept(carriable(value)) for name, value in values.items()}
        return str(translator.codify(plain, comment))
    except (NotImplementedError, MismatchError) as error:
        raise BadInputError(f"a parameter cannot be written in the language {language!r}: {error}") from None


def _papermill_translator(kernel: str | None, language: str) -> Any:
    """Papermill's translator; raises ``LookupError`` where there is none."""
    with _without_storage_libraries():
        from papermill.exceptions import PapermillException
        from papermill.translators import papermill_translators
    try:
        return papermill_translators.find_translator(kernel, _PAPERMILL_NAMES.get(language, language))
    except PapermillException:
        raise LookupError(language) from None


def _parameter(found: Any) -> Parameter:
    """Papermill's view of a parameter, whose default is source text."""
    typed = found.inferred_type_name not in ("None", "NoneType", "")
    return Parameter(
        name=found.name,
        annotation=found.inferred_type_name if typed else None,
        default_source=found.default,
        help=found.help,
        required=False,
    )


@contextmanager
def _without_storage_libraries() -> Iterator[None]:
    """Hide the libraries that importing papermill would import for its own storage handlers, where they are installed.

    ``None`` in ``sys.modules`` makes an import fail at once (Python's import reference), which papermill takes for a
    library that is not installed. What is loaded already stays, and all is as before afterwards.
    """
    hidden = [] if "papermill" in sys.modules else [name for name in _STORAGE_LIBRARIES if name not in sys.modules]
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            if modules.get(name) is None:
                modules.pop(name, None)
