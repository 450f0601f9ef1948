"""Puts what the kernel says where it belongs: into the cell that asked for it, even after that cell has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from nbstep_runner.contract import Event, Notice, OutputEmitted, OutputsCleared, Severity, StreamText
from nbstep_runner.engine import messages, metadata
from nbstep_runner.engine.area import Displays, OpenCell, OutputArea, Place, Update
from nbstep_runner.engine.document import Document
from nbstep_runner.engine.messages import FailedCommand, Raised
from nbstep_runner.engine.outputs import HELD_BYTES, CellOutputs, OutputBudget, size_of
from nbstep_runner.engine.results import Reported
from nbstep_runner.engine.widgets import OutputWidget, WidgetState
from nbstep_runner.kernel.wire import Message
from nbstep_runner.masking import Masker

REOPENED_AT_ONCE: Final = 8
OUTPUTS: Final = frozenset({"stream", "display_data", "execute_result", "error"})
STATES: Final = ("busy", "idle")
COMMANDS_KEPT: Final = 100


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
        self._displays = Displays()
        self._raised: dict[int, Raised] = {}
        self._widgets = WidgetState(budget, masker)
        self.reported = Reported()
        self.output_bytes: dict[int, int] = {}
        self.failed_commands: dict[int, list[FailedCommand]] = {}
        """The commands (``!``) of each cell that failed, as far as the kernel tells; at most 100 of a cell.

        Those that ran in the background may fail after its end."""
        self.raised_late: dict[int, Raised] = {}
        """The first error that a cell showed after its end, by the cell's index."""

    def begin(self, index: int, request_id: str) -> None:
        """A cell was sent to the kernel."""
        self._requests[request_id] = index
        self._running = self._latest = index
        self._open[index] = self._opened(index, self._document.cells[index])

    def end(self, index: int) -> None:
        """The cell has its final metadata: hand it to the document."""
        self._flush_widgets()
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
        elif message.type == messages.COMMAND_FAILED:
            self._note_command(message)
        elif message.parent_id in self._requests:
            self._record(self._cell(self._requests[message.parent_id]), message)
        elif message.type in OUTPUTS and self._latest is not None:
            self._record(self._cell(self._latest), message)

    def settle(self) -> None:
        """Hand cells that were opened again to the document; the running one stays open, shown as it stands."""
        self._show_deferred()
        for index in [index for index in self._open if index != self._running]:
            self._close(index)
        if self._running is not None:
            self._open[self._running].cell["outputs"] = self._open[self._running].outputs.finished()
        self._store_widgets()

    def _store_widgets(self) -> None:
        """Put the widgets' state into the notebook, without secrets: a widget shows values as an output does."""
        notebook = self._document.notebook
        self._widgets.store(notebook)
        if "widgets" in notebook["metadata"]:
            notebook["metadata"]["widgets"] = self._masker.mask_value(notebook["metadata"]["widgets"])

    def finish(self) -> None:
        """Record what is still held; to be called when the kernel says nothing more."""
        self._flush_widgets()
        self.settle()
        if self._widgets.left_out:
            message = f"the state of {self._widgets.left_out} widgets is left out of the notebook: the limits forbid it"
            self._emit(Notice(message=message, severity=Severity.WARNING))
        for message in self.reported.warnings:
            self._emit(Notice(message=message, severity=Severity.WARNING))

    def abandon(self, index: int) -> None:
        """Hand a cell to the document without what could not be recorded."""
        self._running = None
        if (cell := self._open.pop(index, None)) is not None:
            cell.cell["outputs"] = cell.outputs.finished()
        self._document.finish(index)

    def add_error(self, index: int, raised: Raised) -> None:
        """Give a cell an error that its kernel told in its reply, or could not tell."""
        self._append(self._cell(index), raised.as_output())

    def masked(self, raised: Raised) -> Raised:
        """An error without secrets, and then without what is too long to be read."""
        return Raised.of(self._masker.mask_value(raised.as_output())).shortened()

    def raised(self, index: int) -> Raised | None:
        """The first error that a cell showed while it ran, other than a request to end with success."""
        return self._raised.get(index)

    def has_error(self, index: int) -> bool:
        """Whether a cell holds an error output."""
        outputs = self._open[index].outputs.finished() if index in self._open else []
        return any(output["output_type"] == "error" for output in outputs)

    def last_text(self, index: int, stream: str | None = None) -> str:
        """What a running cell printed last: to a stream, or as its last output; empty where that is no text."""
        outputs = self._open[index].outputs.finished() if index in self._open else []
        names = (stream,) if stream else (outputs[-1].get("name"),) if outputs else ()
        texts = (messages.text_of(output["text"]) for output in reversed(outputs) if output.get("name", "") in names)
        return next(texts, "")

    def widget_news(self) -> list[tuple[str, dict[str, Any]]]:
        """State by widget (comm id) that the kernel has to be told, as a page that shows the notebook would."""
        return self._widgets.news()

    def _cell(self, index: int) -> OpenCell:
        """The open cell of an index, opened again if it had ended, with its displays as they are by now."""
        if index not in self._open:
            reopened = [each for each in self._open if each != self._running]
            if len(reopened) >= REOPENED_AT_ONCE:
                self._close(reopened[0])
            self._open[index] = self._opened(index, self._document.reopen(index))
        for update in self._displays.take(index):
            self._show(index, update)
        return self._open[index]

    def _opened(self, index: int, cell: dict[str, Any]) -> OpenCell:
        return OpenCell(index, cell, self._budget, self._masker, self._document.put_away)

    def _close(self, index: int) -> None:
        cell = self._cell(index)
        self._flush(cell, cell)
        del self._open[index]
        cell.cell["outputs"] = cell.outputs.finished()
        self._count(index, cell.outputs.take_received())
        self._document.finish(index)

    def _count(self, index: int, size: int) -> None:
        """Book bytes that were received as a cell's."""
        self.output_bytes[index] = self.output_bytes.get(index, 0) + size

    def _flush_widgets(self) -> None:
        """End the texts in output widgets, which the latest cell has printed."""
        for widget in self._widgets.output_widgets():
            if self._latest is not None:
                self._flush(self._cell(self._latest), widget.area)
                self._count(self._latest, widget.area.outputs.take_received())

    def _flush(self, cell: OpenCell, area: OutputArea) -> None:
        for name, text in area.held_back():
            self._tell_text(cell, area, name, text)

    def _record(self, cell: OpenCell, message: Message) -> None:
        widget = self._widgets.taker(message.parent_id)
        area = widget.area if widget else cell
        match message.type:
            case "stream":
                name = messages.stream_name(message.content)
                for text in message.texts():
                    self._tell_text(cell, area, name, area.stream(name).feed(messages.text_of(text)))
            case "display_data" | "execute_result":
                self._append(cell, self._masker.mask_value(messages.output_of(message)), message, widget)
            case "error":
                raised = self.masked(Raised.of(messages.output_of(message)))
                self._append(cell, raised.as_output(), message, widget)
            case "clear_output":
                wait = bool(message.content.get("wait"))
                area.outputs.clear(wait=wait)
                self._emit(OutputsCleared(index=cell.index, id=cell.id, wait=wait, area=area.name))
            case "execute_input":
                cell.cell["execution_count"] = messages.count_of(message.content)
                metadata.note_time(cell.cell, "iopub.execute_input", message.date)
                return
            case "status":
                if (state := message.content.get("execution_state")) in STATES:
                    metadata.note_time(cell.cell, f"iopub.status.{state}", message.date)
                return
        if widget:
            widget.changed = True

    def _tell_text(self, cell: OpenCell, area: OutputArea, name: str, text: str) -> None:
        if text:
            area.outputs.append_text(name, text)
            self._emit(StreamText(cell.index, cell.id, name, text, area.name))

    def _append(
        self, cell: OpenCell, output: dict[str, Any], message: Message | None = None, widget: OutputWidget | None = None
    ) -> None:
        outputs = widget.area.outputs if widget else cell.outputs
        kept = outputs.append(output)
        self.reported.note(output)
        display_id = messages.display_id_of(message.content) if message else None
        place = widget.comm_id if widget else cell.index
        self._displays.note(place, len(outputs) - 1, display_id if kept else None)
        if message is not None and output["output_type"] == "error":
            self._note_error(cell.index, Raised.of(output))
        area = widget.area.name if widget else cell.name
        self._emit(OutputEmitted(index=cell.index, id=cell.id, output=output, dropped=not kept, area=area))

    def _note_command(self, message: Message) -> None:
        failed = self.failed_commands.setdefault(self._requests.get(message.parent_id, self._latest or 0), [])
        if len(failed) < COMMANDS_KEPT:
            failed.append(FailedCommand.of(self._masker.mask_value(message.content)))

    def _note_error(self, index: int, raised: Raised) -> None:
        if not raised.is_clean_exit:
            (self._raised if index == self._running else self.raised_late).setdefault(index, raised)

    def _update(self, message: Message) -> None:
        """``update_display_data`` changes every output that was displayed under its id, wherever it is."""
        output = self._masker.mask_value(messages.output_of(message))
        self.reported.note(output)
        display_id = messages.display_id_of(message.content)
        update = Update(display_id or "", output, size_of(output))
        if (index := self._requests.get(message.parent_id, self._latest)) is not None:
            self._count(index, update.size)
        places = self._displays.places(display_id)
        if cells := [place for place in places if isinstance(place, int)]:
            self._displays.defer(cells, update)
        for place in places:
            if isinstance(place, str):
                self._show(place, update)
        if self._displays.waiting_bytes > HELD_BYTES:
            self._show_deferred()

    def _show_deferred(self) -> None:
        for index in self._displays.deferred():
            self._cell(index)

    def _show(self, place: Place, update: Update) -> None:
        positions = self._displays.positions(update.display_id, place)
        kept = self._outputs_of(place).replace(positions, update.output["data"], update.output["metadata"])
        if not kept and not update.told and self._latest is not None:
            update.told = True
            cell_id = self._document.cells[self._latest].get("id")
            self._emit(OutputEmitted(index=self._latest, id=cell_id, output=update.output, dropped=True))

    def _outputs_of(self, place: Place) -> CellOutputs:
        if isinstance(place, int):
            return self._cell(place).outputs
        widget = self._widgets.output_widget(place)
        widget.changed = True
        return widget.area.outputs
