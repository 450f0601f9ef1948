"""Reading a notebook: size, encoding, structure, version, each refused with one line of reason."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from nbstep_runner.errors import BadInputError
from nbstep_runner.notebook.format import is_surely_valid
from nbstep_runner.notebook.json_text import read_json
from nbstep_runner.notebook.repair import Repairs, repair
from nbstep_runner.notebook.text import read_text_notebook, text_suffix

MAX_BYTES: Final = 512 * 2**20
MAX_CELLS: Final = 100_000
BYTE_ORDER_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class ParsedNotebook:
    """A notebook of nbformat 4, valid, as plain data; and what had to be repaired to make it so."""

    content: dict[str, Any]
    warnings: tuple[str, ...] = ()


def parse_notebook(data: bytes, uri: str = "") -> ParsedNotebook:
    """Read a notebook's bytes; what older formats and harmless violations need is done to it.

    Args:
        data: All of it.
        uri: Where it comes from; its ending tells a notebook that is kept as text.

    Raises:
        BadInputError: It is not a notebook; the message says in one line why not.
        UsageError: Reading it takes a library that is not installed.
    """
    _check_bytes(data)
    suffix = text_suffix(uri)
    repairs = Repairs()
    try:
        notebook = read_text_notebook(data, suffix) if suffix else read_json(data, repairs)
        return ParsedNotebook(_valid(notebook, repairs), repairs.warnings)
    except RecursionError as error:
        raise BadInputError("the notebook is nested too deeply") from error


def _check_bytes(data: bytes) -> None:
    if not data.strip():
        raise BadInputError("the notebook is empty")
    if len(data) > MAX_BYTES:
        raise BadInputError(f"the notebook is larger than {MAX_BYTES // 2**20} MiB")
    if data.startswith(BYTE_ORDER_MARKS):
        raise BadInputError("the notebook starts with a byte order mark", hint="Save it as UTF-8 without one.")


def _valid(notebook: dict[str, Any], repairs: Repairs) -> dict[str, Any]:
    """The notebook in nbformat 4, repaired where it is not valid."""
    _write_format_as_integers(notebook)
    major = notebook.get("nbformat")
    if not isinstance(major, int) or isinstance(major, bool):
        raise BadInputError("the notebook has no 'nbformat' number, so it is not a notebook")
    if not 1 <= major <= 4:
        raise BadInputError(f"the notebook's format {major} is not known; 4 is the newest")
    if major < 4:
        from nbstep_runner.notebook.older_formats import upgrade

        notebook = upgrade(notebook, repairs)
    cells = notebook.get("cells")
    if isinstance(cells, list) and len(cells) > MAX_CELLS:
        raise BadInputError(f"the notebook has more than {MAX_CELLS:,} cells")
    _write_timeouts_as_text(notebook)
    if not is_surely_valid(notebook):
        repair(notebook, repairs)
    if not is_surely_valid(notebook):
        _let_nbformat_judge(notebook)
    return notebook


def _write_format_as_integers(notebook: dict[str, Any]) -> None:
    """To JSON Schema ``4.0`` is an integer, and some programs write all numbers so."""
    for key in ("nbformat", "nbformat_minor"):
        number = notebook.get(key)
        if isinstance(number, float) and number.is_integer():
            notebook[key] = int(number)


def _let_nbformat_judge(notebook: dict[str, Any]) -> None:
    import nbformat

    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        raise BadInputError(f"the notebook is not valid: {_place(error.relative_path)}{_line(error)}") from error
    except Exception as error:  # it also stumbles over what has another shape than it expects
        raise BadInputError(f"the notebook is not valid: {_line(error)}") from error


def _place(path: Iterable[str | int]) -> str:
    """Where in a notebook an error of its schema is: ``cell 3, key 'metadata.name': ``."""
    steps = list(path)
    cell, keys = (f"cell {steps[1]}, ", steps[2:]) if steps[:1] == ["cells"] and len(steps) > 1 else ("", steps)
    return f"{cell}key {'.'.join(map(str, keys))!r}: " if keys else cell


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
