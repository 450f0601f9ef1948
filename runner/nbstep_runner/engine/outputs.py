"""The outputs of one cell, built from the kernel's messages (nbformat 4, "Code cell outputs")."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nbstep_runner.contract import OutputLimits
from nbstep_runner.engine.text import BoundedText

OUTPUT_OVERHEAD: Final = 100
"""Bytes that any output takes besides its content, so that a million empty ones meet the limit too."""


class OutputBudget:
    """How many bytes of output the notebook and each of its cells may still keep; ``where`` names what has the rest."""

    def __init__(self, limits: OutputLimits, where: str) -> None:
        self.text_bytes = limits.text_bytes
        self.cell_bytes = limits.cell_bytes
        self.left = limits.notebook_bytes
        self.where = where

    def note(self, what: str) -> dict[str, Any]:
        """The output that stands in place of one that is left out."""
        return {
            "output_type": "stream",
            "name": "stderr",
            "text": f"[nbstep: {what} is left out here; {self.where} has all of it]\n",
        }


class CellOutputs:
    """Outputs of a cell in order: streams joined, displays updated, cleared when asked, limited in size.

    Args:
        budget: Shared by the cells of a notebook.
        outputs: What a cell already has, when more comes after its end.
    """

    def __init__(self, budget: OutputBudget, outputs: list[dict[str, Any]] | None = None) -> None:
        self._budget = budget
        self._outputs = outputs or []
        self._streams: dict[int, BoundedText] = {}
        self._room = budget.cell_bytes - sum(map(size_of, self._outputs))
        self._left_out: int | None = None
        self._clear_on_next = False
        self.received = 0

    def __len__(self) -> int:
        return len(self._outputs)

    def clear(self, *, wait: bool) -> None:
        """``clear_output``: at once, or when the next output comes."""
        if wait:
            self._clear_on_next = True
            return
        self._outputs = []
        self._streams = {}
        self._budget.left += self._budget.cell_bytes - self._room
        self._room = self._budget.cell_bytes
        self._left_out = None
        self._clear_on_next = False

    def append_text(self, name: str, text: str) -> bool:
        """Printed text; it continues the last output where that is the same stream. False where none of it is kept."""
        self._before_output()
        self.received += len(text)
        stream = self._stream(name)
        if stream is None:
            return False
        before = stream.kept
        stream.append(text)
        self._spend(stream.kept - before)
        return True

    def _stream(self, name: str) -> BoundedText | None:
        """The text that the next characters of a stream belong to; ``None`` where there is no room for another."""
        last = len(self._outputs) - 1
        continues = last >= 0 and last != self._left_out and self._outputs[last].get("name") == name
        if continues and last in self._streams:
            return self._streams[last]
        if self._available <= OUTPUT_OVERHEAD:
            self._leave_out("further output")
            return None
        if not continues:
            self._outputs.append({"output_type": "stream", "name": name, "text": ""})
            self._spend(OUTPUT_OVERHEAD)
            last += 1
        room = min(self._available, self._budget.text_bytes)
        stream = self._streams[last] = BoundedText(room, self._budget.where)
        stream.append(_joined(self._outputs[last]["text"]))
        return stream

    def append(self, output: dict[str, Any]) -> bool:
        """A display, a value or an error; false where a limit keeps it out of the notebook. Errors always stay."""
        self._before_output()
        size = size_of(output)
        self.received += size
        if size > self._available and output["output_type"] != "error":
            self._leave_out(f"an output of {size:,} bytes")
            return False
        self._spend(size)
        self._outputs.append(output)
        return True

    def replace(self, position: int, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """``update_display_data`` for the output at a position; nothing happens where it has been cleared away."""
        if position < len(self._outputs) and "data" in self._outputs[position]:
            self._outputs[position] = self._outputs[position] | {"data": data, "metadata": metadata}

    def finished(self) -> list[dict[str, Any]]:
        """The outputs as nbformat has them."""
        for position, stream in self._streams.items():
            self._outputs[position]["text"] = stream.join()
        return self._outputs

    @property
    def _available(self) -> int:
        return min(self._room, self._budget.left)

    def _leave_out(self, what: str) -> None:
        """Declare it, once for any number of outputs in a row."""
        if self._left_out is None or self._left_out != len(self._outputs) - 1:
            self._left_out = len(self._outputs)
            self._outputs.append(self._budget.note(what))
        elif self._outputs[-1]["text"] != (several := self._budget.note("further output")["text"]):
            self._outputs[-1]["text"] = several

    def _before_output(self) -> None:
        if self._clear_on_next:
            self.clear(wait=False)

    def _spend(self, size: int) -> None:
        self._room -= size
        self._budget.left -= size


def size_of(output: dict[str, Any]) -> int:
    """About how many bytes an output takes in the notebook; strings are counted, not encoded."""
    return OUTPUT_OVERHEAD + sum(_size(output[key]) for key in ("data", "text", "traceback") if key in output)


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _size(each) for key, each in value.items())
    if isinstance(value, list) and value and isinstance(value[0], str | dict | list):
        return sum(map(_size, value))
    return len(msgspec.json.encode(value))


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
