"""A notebook's JSON: read as strictly as the format asks, and as leniently as Python where its writers are lenient.

Python writes NaN, infinities and halves of surrogate pairs, which JSON has not. They are replaced, and each is told.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

from nbstep_runner.errors import BadInputError
from nbstep_runner.notebook.repair import Repairs, not_valid

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(data: bytes, repairs: Repairs) -> dict[str, Any]:
    """The JSON object that the bytes are.

    Raises:
        BadInputError: They are none; or the source of a cell holds half of a surrogate pair, which no kernel can be
            sent.
    """
    if data.lstrip()[:1] == b"<":
        raise BadInputError("the notebook is HTML or XML, not JSON", hint="Download the raw file, not its page.")
    try:
        notebook = msgspec.json.decode(data)
    except UnicodeDecodeError as error:
        raise BadInputError(f"the notebook is not UTF-8: {error.reason} at byte {error.start}") from error
    except msgspec.DecodeError as error:
        notebook = _decode_leniently(data, error)
        if isinstance(notebook, dict):
            _replace_what_json_lacks(notebook, repairs)
    if not isinstance(notebook, dict):
        raise BadInputError("the notebook is not a JSON object")
    return notebook


def _decode_leniently(data: bytes, error: msgspec.DecodeError) -> Any:
    """Python's reader takes NaN and infinities, which Python's writers put into notebooks; other errors stay errors."""
    try:
        return json.loads(data)
    except ValueError:
        raise BadInputError(f"the notebook is not valid JSON: {error}") from error


def _replace_what_json_lacks(notebook: dict[str, Any], repairs: Repairs) -> None:
    """Take NaN, infinities and halves of surrogate pairs out of what Python's lenient reader has read."""
    for key in notebook.keys() - {"cells"}:
        notebook[key] = _without_odd_leaves(notebook[key], repairs, None)
    cells = notebook.get("cells")
    for index, cell in enumerate(cells if isinstance(cells, list) else ()):
        if not isinstance(cell, dict):
            continue
        if _LONE_SURROGATE.search("".join(map(str, cell.get("source") or ""))):
            raise not_valid(index, "source", "it holds half of a surrogate pair")
        for key in cell:
            cell[key] = _without_odd_leaves(cell[key], repairs, index)


def _without_odd_leaves(value: Any, repairs: Repairs, cell: int | None) -> Any:
    """The value without the numbers that JSON cannot say, and without halves of surrogate pairs."""
    match value:
        case float() if not math.isfinite(value):
            repairs.note(f"{value} is no JSON and became null".replace("nan", "NaN"), cell)
            return None
        case str() if _LONE_SURROGATE.search(value):
            repairs.note("half of a surrogate pair became U+FFFD", cell)
            return _LONE_SURROGATE.sub("\ufffd", value)
        case list():
            return [_without_odd_leaves(item, repairs, cell) for item in value]
        case dict():
            return {
                _without_odd_leaves(key, repairs, cell): _without_odd_leaves(item, repairs, cell)
                for key, item in value.items()
            }
    return value
