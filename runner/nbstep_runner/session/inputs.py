"""Reading a notebook: size, encoding, structure, version, each refused with one line of reason."""

from __future__ import annotations

import sys
import warnings
from typing import Any, Final

import msgspec

from nbstep_runner.errors import BadInputError
from nbstep_runner.session.notebook_format import is_surely_valid

MAX_BYTES: Final = 512 * 2**20
MAX_CELLS: Final = 100_000
BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def parse_notebook(data: bytes) -> dict[str, Any]:
    """A notebook's bytes as plain data of nbformat 4, not yet upgraded within it.

    Raises:
        BadInputError: It is not a notebook; the message says in one line why not.
    """
    _check_bytes(data)
    notebook = _decode(data)
    if not isinstance(notebook, dict):
        raise BadInputError("the notebook is not a JSON object")
    return _valid(notebook)


def _check_bytes(data: bytes) -> None:
    if not data.strip():
        raise BadInputError("the notebook is empty")
    if len(data) > MAX_BYTES:
        raise BadInputError(f"the notebook is larger than {MAX_BYTES // 2**20} MiB")
    if data.startswith(BYTE_ORDER_MARKS):
        raise BadInputError("the notebook starts with a byte order mark", hint="Save it as UTF-8 without one.")
    if data.lstrip()[:1] == b"<":
        raise BadInputError("the notebook is HTML or XML, not JSON", hint="Download the raw file, not its page.")


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except UnicodeDecodeError as error:
        raise BadInputError(f"the notebook is not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise BadInputError("the notebook is nested too deeply") from error
    except msgspec.DecodeError as error:
        raise BadInputError(f"the notebook is not valid JSON: {error}") from error


def _valid(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook in nbformat 4, once nbformat has accepted it."""
    major = notebook.get("nbformat")
    if not isinstance(major, int):
        raise BadInputError("the notebook has no 'nbformat' number, so it is not a notebook")
    if not 1 <= major <= 4:
        raise BadInputError(f"the notebook's format {major} is not known; 4 is the newest")
    cells = notebook.get("cells")
    if isinstance(cells, list) and len(cells) > MAX_CELLS:
        raise BadInputError(f"the notebook has more than {MAX_CELLS:,} cells")
    return _validated(notebook if major == 4 else _upgraded(notebook))


def _upgraded(notebook: dict[str, Any]) -> dict[str, Any]:
    import nbformat

    try:
        converted: dict[str, Any] = nbformat.convert(nbformat.from_dict(notebook), 4)
    except Exception as error:
        raise BadInputError(f"the notebook cannot be upgraded to format 4: {_line(error)}") from error
    return converted


def _validated(notebook: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(notebook.get("nbformat_minor"), int):
        raise BadInputError("the notebook has no 'nbformat_minor' number")
    _write_timeouts_as_text(notebook)
    if is_surely_valid(notebook):
        return notebook
    import nbformat

    try:
        with warnings.catch_warnings(action="ignore"):  # of cells without an id, which it then gives one
            nbformat.validate(notebook)
    except RecursionError as error:
        raise BadInputError("the notebook is nested too deeply") from error
    except Exception as error:  # it also stumbles over what has another shape than it expects
        raise BadInputError(f"the notebook is not valid: {_line(error)}") from error
    return notebook


def _write_timeouts_as_text(notebook: dict[str, Any]) -> None:
    """Authors write a cell's ``execution.timeout`` as a number; the format has text only there."""
    cells = notebook.get("cells")
    for cell in cells if isinstance(cells, list) else ():
        metadata = cell.get("metadata") if isinstance(cell, dict) else None
        execution = metadata.get("execution") if isinstance(metadata, dict) else None
        if isinstance(execution, dict) and isinstance(execution.get("timeout"), int | float):
            execution["timeout"] = str(execution["timeout"])


def _line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def read_standard_input() -> bytes:
    """All of standard input, up to one byte more than a notebook may have."""
    return sys.stdin.buffer.read(MAX_BYTES + 1)
