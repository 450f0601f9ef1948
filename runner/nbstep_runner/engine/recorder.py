"""Puts what the kernel says where it belongs: into the cell that asked for it, even after that cell has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nbstep_runner.contract import Event, OutputEmitted, StreamText
from nbstep_runner.engine import metadata
from nbstep_runner.engine.document import Document
from nbstep_runner.engine.outputs import CellOutputs, OutputBudget, output_of
from nbstep_runner.engine.results import results_of
from nbstep_runner.engine.widgets import WidgetState
from nbstep_runner.kernel.wire import Message
from nbstep_runner.masking import Masker, StreamMasker

REOPENED_AT_ONCE: Final = 8
OUTPUTS: Final = frozenset({"stream", "display_data", "execute_result", "error"})


class OpenCell:
    """A cell whose outputs are in memory, because it runs or because more came after its end."""

    def __init__(self, index: int, cell: dict[str, Any], budget: OutputBudget, masker: Masker) -> None:
        self.index = index
        self.cell = cell
        self.outputs = CellOutputs(budget, cell["outputs"])
        self._masker = masker
        self._streams: dict[str, StreamMasker] = {}

    @property
    def id(self) -> str | None:
        """The cell's nbformat id."""
        return self.cell.get("id")

    def stream(self, name: str) -> StreamMasker:
        """The masker of one of the cell's streams."""
        if name not in self._streams:
            self._streams[name] = StreamMasker(self._masker)
        return self._streams[name]

    def held_back(self) -> list[tuple[str, str]]:
        """Text by stream that a masker still held, because it might have been the start of a secret."""
        return [(name, text) for name, stream in self._streams.items() if (text := stream.flush())]


class Recorder:
    """Takes every message of the iopub channel and keeps the document, the results and the listeners up to date.

    Args:
        document: Receives each cell as it ends.
        budget: What the notebook's outputs may take.
        masker: Hides secrets in all that is kept or told.
        emit: Tells the listeners.
    """

    def __init__(self, document: Document, budget: OutputBudget, masker: Masker, emit: Callable[[Event], None]) -> None:
        self._document = document
        self._budget = budget
        self._masker = masker
        self._emit = emit
        self._requests: dict[str, int] = {}
        self._open: dict[int, OpenCell] = {}
        self._running: int | None = None
        self._latest: int | None = None
        self._displays: dict[str, set[tuple[int, int]]] = {}
        self._widgets = WidgetState()
        self.results: dict[str, Any] = {}
        self.output_bytes: dict[int, int] = {}

    def begin(self, index: int, request_id: str) -> None:
        """A cell was sent to the kernel."""
        self._requests[request_id] = index
        self._running = self._latest = index
        self._open[index] = OpenCell(index, self._document.cells[index], self._budget, self._masker)

    def end(self, index: int) -> None:
        """The cell has its final metadata: hand it to the document."""
        self._running = None
        self._close(index)

    def handle(self, message: Message) -> None:
        """Take a message of the iopub channel.

        What belongs to no cell's request, such as the output of an exit handler, goes to the latest cell.
        """
        if message.type.startswith("comm_"):
            self._widgets.handle(message)
        elif message.type == "update_display_data":
            self._update(message)
        elif message.parent_id in self._requests:
            self._record(self._cell(self._requests[message.parent_id]), message)
        elif message.type in OUTPUTS and self._latest is not None:
            self._record(self._cell(self._latest), message)

    def settle(self) -> None:
        """Hand cells that were opened again to the document; the running one stays open, shown as it stands."""
        for index in [index for index in self._open if index != self._running]:
            self._close(index)
        if self._running is not None:
            self._open[self._running].cell["outputs"] = self._open[self._running].outputs.finished()

    def finish(self) -> None:
        """Nothing more will come."""
        self.settle()
        self._widgets.store(self._document.notebook)

    def add_error(self, index: int, name: str, value: str, traceback: list[str]) -> None:
        """Give a cell an error that its kernel told in its reply, or could not tell."""
        output = {"output_type": "error", "ename": name, "evalue": value, "traceback": traceback}
        self._append(self._cell(index), output)

    def masked(self, value: dict[str, Any]) -> dict[str, Any]:
        """Any of a kernel's data, without secrets."""
        masked: dict[str, Any] = self._masker.mask_value(value)
        return masked

    def has_error(self, index: int) -> bool:
        """Whether a cell holds an error output."""
        outputs = self._open[index].outputs.finished() if index in self._open else []
        return any(output["output_type"] == "error" for output in outputs)

    def _cell(self, index: int) -> OpenCell:
        """The open cell of an index, opened again if it had ended."""
        if index not in self._open:
            reopened = [each for each in self._open if each != self._running]
            if len(reopened) >= REOPENED_AT_ONCE:
                self._close(reopened[0])
            self._open[index] = OpenCell(index, self._document.reopen(index), self._budget, self._masker)
        return self._open[index]

    def _close(self, index: int) -> None:
        cell = self._open[index]
        for name, text in cell.held_back():
            self._tell_text(cell, name, text)
        del self._open[index]
        cell.cell["outputs"] = cell.outputs.finished()
        self.output_bytes[index] = self.output_bytes.get(index, 0) + cell.outputs.received
        self._document.finish(index)

    def _record(self, cell: OpenCell, message: Message) -> None:
        match message.type:
            case "stream":
                name = message.content.get("name", "stdout")
                for text in message.texts():
                    self._tell_text(cell, name, cell.stream(name).feed(text))
            case "display_data" | "execute_result" | "error":
                self._append(cell, self._masker.mask_value(output_of(message)), message)
            case "clear_output":
                cell.outputs.clear(wait=bool(message.content.get("wait")))
            case "execute_input":
                cell.cell["execution_count"] = message.content.get("execution_count")
                metadata.note_time(cell.cell, "iopub.execute_input", message.date)
            case "status":
                state = message.content.get("execution_state")
                metadata.note_time(cell.cell, f"iopub.status.{state}", message.date)

    def _tell_text(self, cell: OpenCell, name: str, text: str) -> None:
        if text:
            cell.outputs.append_text(name, text)
            self._emit(StreamText(cell.index, cell.id, name, text))

    def _append(self, cell: OpenCell, output: dict[str, Any], message: Message | None = None) -> None:
        kept = cell.outputs.append(output)
        self.results.update(results_of(output))
        display_id = message.content.get("transient", {}).get("display_id") if message else None
        if kept and display_id:
            self._displays.setdefault(display_id, set()).add((cell.index, len(cell.outputs) - 1))
        self._emit(OutputEmitted(index=cell.index, id=cell.id, output=output, dropped=not kept))

    def _update(self, message: Message) -> None:
        """``update_display_data`` changes every output that was displayed under its id, wherever it is."""
        output = self._masker.mask_value(output_of(message))
        self.results.update(results_of(output))
        display_id = message.content.get("transient", {}).get("display_id")
        for index, position in self._displays.get(display_id, ()):
            self._cell(index).outputs.replace(position, output["data"], output["metadata"])
