"""The state of widgets, so that they show in the executed notebook without a kernel, and the output that is theirs.

Messages as in the Jupyter widgets documentation ("Jupyter widgets messaging protocol", version 2); saved under the MIME
type of its "Widget state JSON schema", version 2.0.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from nbstep_runner.engine.area import OutputArea
from nbstep_runner.engine.messages import mapping, outputs_of, text_of
from nbstep_runner.engine.outputs import HeldBudget, OutputBudget, size_of_value
from nbstep_runner.kernel.wire import Message
from nbstep_runner.masking import Masker

HELD_BYTES: Final = 64 * 2**20
"""Of all widgets' state and output, which are in memory until the end."""
STATE_MIME: Final = "application/vnd.jupyter.widget-state+json"
TARGET: Final = "jupyter.widget"
OUTPUT_MODEL: Final = {"_model_module": "@jupyter-widgets/output", "_model_name": "OutputModel"}


@dataclass(slots=True, kw_only=True)
class OutputWidget:
    """A widget that takes what is put out while it names the request in progress (its ``msg_id``), as in JupyterLab.

    Attributes:
        area: Its outputs.
        request: The ``msg_id`` of the request whose output it takes now; empty for none.
        changed: Its kernel does not know yet what it holds.
    """

    comm_id: str
    area: OutputArea
    request: str = ""
    changed: bool = False


class WidgetState:
    """Collects what widgets are told and tell, from comm messages on the iopub channel.

    Args:
        budget: What the notebook may still keep, which the widgets' state and output count against.
        masker: Hides secrets in the output.
    """

    def __init__(self, budget: OutputBudget, masker: Masker) -> None:
        self._budget = HeldBudget(budget, HELD_BYTES)
        self._masker = masker
        self._sizes: dict[str, int] = {}
        self.left_out = 0
        """Widgets whose state is more than the limits allow."""
        self._models: dict[str, dict[str, Any]] = {}
        self._buffers: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
        self._output_widgets: dict[str, OutputWidget] = {}
        self._takers: dict[str, list[OutputWidget]] = {}

    def handle(self, message: Message) -> None:
        """Take a ``comm_open``, ``comm_msg`` or ``comm_close``; other targets, and nonsense, are passed over."""
        content = message.content
        comm_id, data = text_of(content.get("comm_id", "")), mapping(content.get("data"))
        state = mapping(data.get("state"))
        if message.type == "comm_open" and content.get("target_name") == TARGET:
            self._models[comm_id] = {}
            if OUTPUT_MODEL.items() <= _names_in(state).items():
                area = OutputArea(self._budget, self._masker, name=comm_id)
                self._output_widgets[comm_id] = OutputWidget(comm_id=comm_id, area=area)
        if comm_id not in self._models:
            return
        self._models[comm_id].update(state)
        for path, buffer in zip(_paths(data), message.buffers, strict=False):
            encoded = {"data": b64encode(buffer).decode(), "encoding": "base64", "path": path}
            self._buffers.setdefault(comm_id, {})[tuple(path)] = encoded
        if not self._fits(comm_id):
            return
        widget = self._output_widgets.get(comm_id)
        if widget is not None and data.get("method") != "echo_update":
            self._change(widget, {"msg_id": ""} if message.type == "comm_close" else state)

    def _fits(self, comm_id: str) -> bool:
        """Whether the limits allow the state that a widget has now; if not, the widget is forgotten."""
        size = size_of_value(self._models[comm_id])
        size += sum(len(buffer["data"]) for buffer in self._buffers.get(comm_id, {}).values())
        more = size - self._sizes.get(comm_id, 0)
        if size <= self._budget.cell_bytes and more <= self._budget.left:
            self._sizes[comm_id] = size
            self._budget.left -= more
            return True
        self._budget.left += self._sizes.pop(comm_id, 0)
        self.left_out += 1
        for kept in (self._models, self._buffers):
            kept.pop(comm_id, None)
        if (widget := self._output_widgets.get(comm_id)) is not None:
            self._change(widget, {"msg_id": ""})
        return False

    def _change(self, widget: OutputWidget, state: dict[str, Any]) -> None:
        """The kernel sets which request an output widget attends to, or what it holds."""
        if "outputs" in state:
            widget.area.refill(outputs_of(state["outputs"]))
            widget.changed = False
        if "msg_id" in state:
            if widget.request:
                self._takers[widget.request].remove(widget)
            widget.request = text_of(state["msg_id"] or "")
            if widget.request:
                self._takers.setdefault(widget.request, []).append(widget)

    def taker(self, request: str) -> OutputWidget | None:
        """The widget that the output of a request goes to: the last that asked for it; ``None`` for the cell itself."""
        takers = self._takers.get(request)
        return takers[-1] if takers else None

    def output_widget(self, comm_id: str) -> OutputWidget:
        """The output widget of an id that is known."""
        return self._output_widgets[comm_id]

    def output_widgets(self) -> Iterator[OutputWidget]:
        """Every output widget that is known."""
        return iter(self._output_widgets.values())

    def news(self) -> list[tuple[str, dict[str, Any]]]:
        """State by widget of which the kernel does not know yet; asked for, it counts as told."""
        changed = [widget for widget in self.output_widgets() if widget.changed]
        for widget in changed:
            widget.changed = False
        return [(widget.comm_id, {"outputs": widget.area.outputs.finished()}) for widget in changed]

    def store(self, notebook: dict[str, Any]) -> None:
        """Put the state into the notebook's metadata, in place of what was there; nothing where there is no widget."""
        notebook["metadata"].pop("widgets", None)
        for widget in self.output_widgets():
            if widget.comm_id in self._models:
                self._models[widget.comm_id] |= {"outputs": widget.area.outputs.finished(), "msg_id": ""}
        if self._models:
            notebook["metadata"]["widgets"] = {
                STATE_MIME: {
                    "version_major": 2,
                    "version_minor": 0,
                    "state": {comm_id: self._model(comm_id) for comm_id in self._models},
                }
            }

    def _model(self, comm_id: str) -> dict[str, Any]:
        state = dict(self._models[comm_id])
        names = {
            key: text_of(state.get(f"_{key}", "")) for key in ("model_name", "model_module", "model_module_version")
        }
        model: dict[str, Any] = names | {"state": state}
        if comm_id in self._buffers:
            model["buffers"] = list(self._buffers[comm_id].values())
        return model


def _names_in(state: dict[str, Any]) -> dict[str, str]:
    return {key: value for key in OUTPUT_MODEL if isinstance(value := state.get(key), str)}


def _paths(data: dict[str, Any]) -> list[list[str | int]]:
    """Where a message's buffers belong in its state; none where that is not said as the protocol has it."""
    paths = data.get("buffer_paths")
    if not isinstance(paths, list) or not all(map(_is_path, paths)):
        return []
    return paths


def _is_path(path: Any) -> bool:
    return isinstance(path, list) and all(isinstance(step, str | int) for step in path)
