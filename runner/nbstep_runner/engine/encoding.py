"""Cells and outputs as Jupyter writes them: keys sorted, one space a level, text as lists of lines."""

from __future__ import annotations

from typing import Any, Final

import msgspec

READABLE: Final = 2**20
_NO_OUTPUTS: Final = b'\n   "outputs": []'
"""Of a cell and of nothing inside it, which would stand further to the right; a string holds no newline."""


def encode_cell(cell: dict[str, Any]) -> bytes:
    """A cell's JSON."""
    split = cell | {"source": _lines(cell["source"])}
    if "outputs" in cell:
        split["outputs"] = [_split_output(output) for output in cell["outputs"]]
    return bytes(_formatted(split, depth=2))


def encode_around_outputs(cell: dict[str, Any]) -> tuple[bytes, bytes]:
    """A code cell's JSON up to the first of its outputs, and after the last; there is at least one."""
    head, _, tail = encode_cell(cell | {"outputs": []}).partition(_NO_OUTPUTS)
    return head + _NO_OUTPUTS[:-1], b"\n   ]" + tail


def encode_output(output: dict[str, Any]) -> memoryview:
    """The JSON of one of a cell's outputs, which may be large: it is not copied."""
    return _formatted(_split_output(output), depth=4)


def _formatted(value: dict[str, Any], depth: int) -> memoryview:
    """A value as it stands inside as many others."""
    wrapped: Any = value
    for _ in range(depth):
        wrapped = [wrapped]
    data = memoryview(msgspec.json.format(msgspec.json.encode(wrapped, order="sorted"), indent=1))
    before = 1 + sum(len("\n[") + level for level in range(1, depth))
    after = sum(len("\n]") + level for level in range(depth))
    return data[before:-after]


def _split_output(output: dict[str, Any]) -> dict[str, Any]:
    if "text" in output:
        return output | {"text": _lines(output["text"])}
    if "data" in output:
        data = {mime: value if mime.endswith("json") else _lines(value) for mime, value in output["data"].items()}
        return output | {"data": data}
    return output


def _lines(text: Any) -> Any:
    """Text as a list of lines, which makes changes readable; text too large to be read stays one string."""
    return text.splitlines(keepends=True) if isinstance(text, str) and len(text) <= READABLE else text
