"""The state of widgets, so that they show in the executed notebook without a kernel.

Messages as in the Jupyter widgets documentation ("Jupyter widgets messaging protocol", version 2); saved under the MIME
type of its "Widget state JSON schema", version 2.0.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

from nbstep_runner.kernel.wire import Message

STATE_MIME: Final = "application/vnd.jupyter.widget-state+json"
TARGET: Final = "jupyter.widget"


class WidgetState:
    """Collects what widgets are told and tell, from comm messages on the iopub channel."""

    def __init__(self) -> None:
        self._models: dict[str, dict[str, Any]] = {}
        self._buffers: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}

    def handle(self, message: Message) -> None:
        """Take a ``comm_open``, ``comm_msg`` or ``comm_close``; other targets, and nonsense, are passed over."""
        content = message.content
        comm_id, data = str(content.get("comm_id", "")), _mapping(content.get("data"))
        if message.type == "comm_open" and content.get("target_name") == TARGET:
            self._models[comm_id] = {}
        if comm_id not in self._models:
            return
        self._models[comm_id].update(_mapping(data.get("state")))
        for path, buffer in zip(_paths(data), message.buffers, strict=False):
            encoded = {"data": b64encode(buffer).decode(), "encoding": "base64", "path": path}
            self._buffers.setdefault(comm_id, {})[tuple(path)] = encoded

    def store(self, notebook: dict[str, Any]) -> None:
        """Put the state into the notebook's metadata; nothing where there were no widgets."""
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
        names = {key: state.get(f"_{key}", "") for key in ("model_name", "model_module", "model_module_version")}
        model = names | {"state": state}
        if comm_id in self._buffers:
            model["buffers"] = list(self._buffers[comm_id].values())
        return model


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _paths(data: dict[str, Any]) -> list[list[str | int]]:
    """Where a message's buffers belong in its state; none where that is not said as the protocol has it."""
    paths = data.get("buffer_paths")
    if not isinstance(paths, list) or not all(map(_is_path, paths)):
        return []
    return paths


def _is_path(path: Any) -> bool:
    return isinstance(path, list) and all(isinstance(step, str | int) for step in path)
