"""What the executed notebook says of its own run, under ``metadata`` of the notebook and of each cell.

``papermill`` holds the keys that papermill's users read (papermill 2.7, ``NotebookExecutionManager``), with its four
statuses; ``nbstep`` holds the exact state; ``execution`` holds the times that nbclient records.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from nbstep_runner.contract import CellState, ErrorInfo, RunState

PAPERMILL_STATUS: Final = {
    CellState.PENDING: "pending",
    CellState.RUNNING: "running",
    CellState.SUCCEEDED: "completed",
    CellState.FAILED: "failed",
    CellState.TIMED_OUT: "failed",
    CellState.INTERRUPTED: "failed",
    CellState.NOT_RUN: "pending",
    CellState.SKIPPED: "pending",
}
"""papermill has no word for a cell that was passed over: it stays pending, because it did not complete."""

EXECUTION_TIMES: Final = ("iopub.status.busy", "iopub.execute_input", "shell.execute_reply", "iopub.status.idle")


def now() -> str:
    """The current time as papermill writes it: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


def begin_notebook(notebook: dict[str, Any]) -> None:
    """Clear what earlier runs left: outputs, counts, states, the verdict, and widgets that nothing shows any more."""
    for key in ("nbstep", "widgets"):
        notebook["metadata"].pop(key, None)
    papermill = notebook["metadata"].setdefault("papermill", {})
    papermill.update(start_time=now(), end_time=None, duration=None, exception=None)
    for cell in notebook["cells"]:
        cell["metadata"]["papermill"] = {
            "exception": None,
            "start_time": None,
            "end_time": None,
            "duration": None,
            "status": PAPERMILL_STATUS[CellState.PENDING],
        }
        cell["metadata"].pop("nbstep", None)
        if cell["cell_type"] == "code":
            cell["execution_count"] = None
            cell["outputs"] = []
            _forget_times(cell["metadata"])


def _forget_times(metadata: dict[str, Any]) -> None:
    """Only the times go: ``execution.timeout`` is the author's."""
    execution = metadata.get("execution")
    if isinstance(execution, dict):
        metadata["execution"] = {key: value for key, value in execution.items() if key not in EXECUTION_TIMES}
        if not metadata["execution"]:
            del metadata["execution"]


def begin_cell(cell: dict[str, Any]) -> None:
    """The cell runs from now on."""
    cell["metadata"]["papermill"].update(start_time=now(), status=PAPERMILL_STATUS[CellState.RUNNING], exception=False)


def note_time(cell: dict[str, Any], key: str, time: str) -> None:
    """Write down when the kernel sent a message of :data:`EXECUTION_TIMES`."""
    cell["metadata"].setdefault("execution", {})[key] = time


def end_cell(cell: dict[str, Any], state: CellState, seconds: float | None, *, raised: bool) -> None:
    """The cell has its final state; ``seconds`` is ``None`` for one that never started."""
    papermill = cell["metadata"]["papermill"]
    papermill["status"] = PAPERMILL_STATUS[state]
    cell["metadata"]["nbstep"] = {"state": str(state)}
    if seconds is not None:
        papermill.update(end_time=now(), duration=seconds, exception=raised)


def end_notebook(notebook: dict[str, Any], seconds: float, state: RunState, error: ErrorInfo | None) -> None:
    """The run of the notebook has ended."""
    notebook["metadata"]["papermill"].update(end_time=now(), duration=seconds, exception=error is not None or None)
    verdict: dict[str, Any] = {"state": str(state)}
    if error is not None:
        verdict["error"] = {"reference": error.reference, "message": error.message}
    notebook["metadata"]["nbstep"] = verdict
