"""The outputs of one cell, built from the kernel's messages (nbformat 4, "Code cell outputs")."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from nbstep_runner.contract import OutputLimits
from nbstep_runner.engine.document import SPOOLED
from nbstep_runner.engine.text import BoundedText, written_size

OUTPUT_OVERHEAD: Final = 100
"""Bytes that any output takes besides its content, so that a million empty ones meet the limit too."""
HELD_BYTES: Final = 4 * 2**20
"""Of displays in memory, past which they are put away."""
SHORTEST_ERROR: Final = 64 * 2**10
"""Bytes of each text of an error that are kept whatever the limits say."""

PutAway = Callable[[dict[str, Any], int], dict[str, Any] | None]
"""Takes an output with its size out of memory; what stands for it, see :meth:`Document.put_away`."""


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


class HeldBudget(OutputBudget):
    """The part of a budget for what stays in memory to the end of the run; whatever is spent of it is spent of both.

    Args:
        whole: The notebook's budget.
        held: Bytes that may be held.
    """

    def __init__(self, whole: OutputBudget, held: int) -> None:
        self.text_bytes, self.cell_bytes, self.where = whole.text_bytes, whole.cell_bytes, whole.where
        self._whole = whole
        self._held = held

    @property
    def left(self) -> int:
        """Bytes that may still be kept."""
        return min(self._held, self._whole.left)

    @left.setter
    def left(self, value: int) -> None:
        spent = self.left - value
        self._held -= spent
        self._whole.left -= spent


class CellOutputs:
    """Outputs of a cell in order: streams joined, displays updated, cleared when asked, limited in size.

    Args:
        budget: Shared by the cells of a notebook.
        outputs: What a cell already has, when more comes after its end.
        put_away: Takes displays that are too much for memory.
    """

    def __init__(
        self, budget: OutputBudget, outputs: list[dict[str, Any]] | None = None, put_away: PutAway | None = None
    ) -> None:
        self._budget = budget
        self._outputs = outputs or []
        self._streams: dict[int, BoundedText] = {}
        self._room = budget.cell_bytes - sum(map(size_of, self._outputs))
        self._put_away = put_away
        self._held = 0
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
        self._held = 0
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
        """A display, a value or an error; false where a limit keeps it out of the notebook. Errors stay, shortened."""
        self._before_output()
        size = size_of(output)
        self.received += size
        if size > self._available:
            if output["output_type"] != "error":
                self._leave_out(f"an output of {size:,} bytes")
                return False
            output = self._shortened(output, size)
        self._outputs.append(output)
        self._spend(size_of(output))
        self._hold(size if "data" in output else 0)
        return size <= size_of(output)

    def replace(self, positions: Iterable[int], data: dict[str, Any], metadata: dict[str, Any]) -> bool:
        """``update_display_data`` for the displays at some positions, which then share the new state in memory.

        What has been cleared away there stays away. False where a limit keeps the new state out of the notebook: then a
        note stands in its place.
        """
        new = {"data": data, "metadata": metadata}
        size = size_of(new)
        text = self._budget.note(f"an update of {size:,} bytes")["text"]
        note = {"data": {"text/plain": text}, "metadata": {}}
        sizes: dict[int, int] = {}
        all_kept = True
        for position, old in [(each, self._outputs[each]) for each in positions if each < len(self._outputs)]:
            if not is_display(old):
                continue
            shared = id(old.get(SPOOLED) or old["data"])
            before = sizes.get(shared) or sizes.setdefault(shared, size_of(old))
            kept = size - before <= self._available
            all_kept = all_kept and kept
            rest = {key: value for key, value in old.items() if key not in {"data", "metadata", SPOOLED}}
            self._outputs[position] = rest | (new if kept else note)
            self._spend((size if kept else size_of(note)) - before)
        self._hold(size)
        return all_kept

    def _hold(self, size: int) -> None:
        """So much more has come since memory was last cleared; too much is put away, in the order of its coming."""
        self._held += size
        if self._held <= HELD_BYTES or self._put_away is None:
            return
        for position, output in enumerate(self._outputs):
            if "data" in output:
                self._outputs[position] = self._put_away(output, size_of(output)) or output
        self._held = 0

    def _shortened(self, error: dict[str, Any], size: int) -> dict[str, Any]:
        """An error for which there is no room, with the head and tail of each of its texts where it is large."""
        limit = max(SHORTEST_ERROR, min(self._available, self._budget.text_bytes))
        if size <= limit:
            return error
        texts = {key: _bounded(error[key], limit, self._budget.where) for key in ("ename", "evalue")}
        return error | texts | {"traceback": [_bounded("\n".join(error["traceback"]), limit, self._budget.where)]}

    def take_received(self) -> int:
        """The bytes of output that have come since this was asked last, kept or not, but for updates."""
        received, self.received = self.received, 0
        return received

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


COUNTED: Final = ("data", "metadata", "text", "ename", "evalue", "traceback")


def size_of(output: dict[str, Any]) -> int:
    """About how many bytes an output takes in the notebook; strings are counted, not encoded."""
    if SPOOLED in output:
        counted: int = output[SPOOLED].counted
        return counted
    return OUTPUT_OVERHEAD + sum(size_of_value(output[key]) for key in COUNTED if key in output)


def is_display(output: dict[str, Any]) -> bool:
    """Whether an output shows data, here or in the file."""
    return "data" in output or SPOOLED in output


def size_of_value(value: Any) -> int:
    """About how many bytes a value of JSON takes."""
    if isinstance(value, str):
        return written_size(value)
    if isinstance(value, dict):
        return sum(written_size(key) + size_of_value(each) for key, each in value.items())
    if isinstance(value, list) and value and isinstance(value[0], str | dict | list):
        return sum(map(size_of_value, value))
    return len(msgspec.json.encode(value))


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def _bounded(text: str, limit: int, where: str) -> str:
    bounded = BoundedText(limit, where)
    bounded.append(text)
    return bounded.join()
