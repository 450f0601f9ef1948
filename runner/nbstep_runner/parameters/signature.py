"""The signature of a notebook, from its cell tagged ``parameters``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbstep_runner.parameters.cells import first_tagged, source_text
from nbstep_runner.parameters.language import notebook_language
from nbstep_runner.parameters.model import Parameter, Signature
from nbstep_runner.parameters.python_cell import python_parameters


def read_signature(notebook: Mapping[str, Any], *, language: str | None = None, kernel: str | None = None) -> Signature:
    """What the notebook's parameters cell declares; never raises, whatever the cell holds.

    A Python cell is read through its syntax tree, a JavaScript or TypeScript one by its declarations; of other
    languages' cells nothing is known.

    Args:
        notebook: Of nbformat 4, valid or not.
        language: Overrides the notebook's language.
        kernel: Overrides the notebook's kernel, whose language it may decide.
    """
    spoken = notebook_language(notebook, kernel=kernel, language=language)
    cells = notebook.get("cells")
    index = first_tagged(cells, "parameters")
    if not isinstance(cells, list) or index is None or cells[index].get("cell_type", "code") != "code":
        return Signature(language=spoken)
    found = _declared(source_text(cells[index]), spoken)
    return Signature(parameters=found or (), language=spoken, declared=True, complete=found is not None)


def _declared(source: str, language: str) -> tuple[Parameter, ...] | None:
    if language == "python":
        return python_parameters(source)
    if language in ("javascript", "typescript"):
        from nbstep_runner.parameters.javascript_cell import javascript_parameters

        return javascript_parameters(source)
    return None
