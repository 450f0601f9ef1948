"""What each event says in the log: a sentence for people and members for machines.

The members are described in ``docs/logging.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

from nbstep_runner.contract.events import (
    CellFinished,
    CellStarted,
    Notice,
    OutputEmitted,
    RunFinished,
    RunStarted,
    Severity,
)
from nbstep_runner.contract.states import CellState, ErrorInfo, RunState
from nbstep_runner.sinks.text import visible, visible_line

MAX_SHOWN = 16 * 1024
"""Characters of a display or traceback that the log shows; what a limit keeps out of the notebook is logged whole."""

_CELL_SEVERITY = {
    CellState.FAILED: Severity.ERROR,
    CellState.TIMED_OUT: Severity.ERROR,
    CellState.INTERRUPTED: Severity.WARNING,
}
_RUN_SEVERITY = {RunState.SUCCEEDED: Severity.NOTICE, RunState.CANCELLED: Severity.WARNING}


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log, except of printed text.

    Attributes:
        message: For people; may hold newlines where ``cell`` is set and ``event`` is ``output``.
        fields: Further members of the JSON line.
        whole: An output that the notebook does not keep, to be logged in full.
        area: The output widget that shows it.
    """

    event: str
    severity: Severity
    message: str
    cell: tuple[int, str | None] | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    whole: dict[str, Any] | None = None
    area: str = ""

    @property
    def size(self) -> int:
        """About how many bytes the record holds in memory."""
        return 1000 + len(self.message) + (_size(self.whole) if self.whole else 0)


@singledispatch
def describe(event: Any) -> Record:
    """The line that an event becomes. Text that was printed becomes lines elsewhere."""
    raise TypeError(f"no line of the log is made of {type(event).__name__}")


@describe.register
def _run_started(event: RunStarted) -> Record:
    message = f"run {event.run_id} started: {event.input_uri} -> {event.output_uri} ({event.code_cells} code cells)"
    fields = {name: getattr(event, name) for name in ("input_uri", "output_uri", "kernel", "code_cells")}
    return Record("run-started", Severity.INFO, message, fields=fields)


@describe.register
def _cell_started(event: CellStarted) -> Record:
    title = visible_line(event.title)
    message = f"cell {event.index} started: {title}" if title else f"cell {event.index} started"
    return Record("cell-started", Severity.INFO, message, (event.index, event.id), {"title": title})


@describe.register
def _cell_finished(event: CellFinished) -> Record:
    record = event.record
    names = ("state", "execution_count", "seconds", "cpu_seconds", "peak_memory_bytes", "output_bytes")
    message = f"cell {record.index} {_words(record.state)}{_duration(record.seconds)}"
    severity = _CELL_SEVERITY.get(record.state, Severity.INFO)
    fields = {"title": visible_line(record.title)} | {name: getattr(record, name) for name in names}
    return Record("cell-finished", severity, message, (record.index, record.id), fields)


@describe.register
def _notice(event: Notice) -> Record:
    return Record("notice", event.severity, event.message, fields={"fields": event.fields} if event.fields else {})


@describe.register
def _run_finished(event: RunFinished) -> Record:
    result = event.result
    message = f"run {_words(result.state)}{_duration(result.seconds)}"
    if result.error:
        message += f": {result.error.message}"
    names = ("state", "exit_code", "seconds", "output_uri", "output_version", "html_uri", "log_uri")
    fields = {name: getattr(result, name) for name in names}
    fields["error"] = _error_fields(result.error) if result.error else None
    return Record("run-finished", _RUN_SEVERITY.get(result.state, Severity.ERROR), message, fields=fields)


@describe.register
def _output_emitted(event: OutputEmitted) -> Record:
    output = event.output
    kind = str(output.get("output_type", ""))
    failed = kind == "error"
    message, fields = _error(output) if failed else _display(output)
    return Record(
        "output",
        Severity.ERROR if failed else Severity.INFO,
        message,
        (event.index, event.id),
        {"output_type": kind, **fields},
        output if event.dropped else None,
        event.area,
    )


def _error(output: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    message = shortened(f"{output.get('ename', 'Error')}: {output.get('evalue', '')}")
    traceback = visible(shortened("\n".join(map(str, output.get("traceback") or ()))))
    return message, {"traceback": traceback.split("\n") if traceback else []}


def _display(output: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    data = output.get("data")
    if not isinstance(data, dict):
        return shortened(_text(output.get("text", ""))), {}
    shown = shortened(_text(data.get("text/plain", ""))) or f"<{', '.join(map(str, data)) or 'nothing to show'}>"
    return shown, {"mime_types": [str(mime) for mime in data]}


def shortened(text: str, limit: int = MAX_SHOWN) -> str:
    """The text, or its head and tail with a line between them that says what is left out."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters not shown ...]\n{text[-half:]}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "".join(map(str, value)) if isinstance(value, Sequence) else str(value)


def _error_fields(error: ErrorInfo) -> dict[str, Any]:
    names = ("reference", "message", "context", "hint", "retryable", "cell_index", "cell_id")
    fields = {name: getattr(error, name) for name in names}
    return fields | {"attached": [_error_fields(attached) for attached in error.attached]}


def _words(state: CellState | RunState) -> str:
    return state.value.replace("_", " ")


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else f" in {seconds:.{2 if seconds < 10 else 0}f} s"


def _size(value: Any) -> int:
    match value:
        case str():
            return len(value)
        case dict():
            return sum(map(_size, value.values()))
        case list():
            return sum(map(_size, value))
        case _:
            return 8
