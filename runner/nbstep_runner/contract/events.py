"""What happens during a run, as it happens: the engine tells, the sinks listen."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from nbstep_runner.contract.result import CellRecord, RunResult


class Severity(StrEnum):
    """The severities of Cloud Logging's ``LogSeverity`` that a run uses."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    NOTICE = "NOTICE"
    WARNING = "WARNING"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The notebook is prepared and its first cell is about to run."""

    run_id: str
    attempt: int
    input_uri: str
    output_uri: str
    kernel: str
    code_cells: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CellStarted:
    """A cell is about to be sent to the kernel."""

    index: int
    id: str | None
    title: str


@dataclass(frozen=True, slots=True)
class StreamText:
    """Text that a cell printed; any number of lines, whole or not. ``stream`` is ``stdout`` or ``stderr``.

    ``area`` is the output widget (comm id) that shows it in the cell's place; empty where there is none.
    """

    index: int
    id: str | None
    stream: str
    text: str
    area: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputEmitted:
    """A display, a value or an error that a cell produced: ``output`` is an nbformat 4 output.

    ``dropped`` says that a limit keeps it out of the executed notebook, so the log has to hold all of it. ``area`` as
    :class:`StreamText` has it.
    """

    index: int
    id: str | None
    output: dict[str, Any]
    dropped: bool = False
    area: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputsCleared:
    """What a cell, or an output widget, has shown so far is cleared: at once, or as soon as more comes (``wait``)."""

    index: int
    id: str | None
    wait: bool
    area: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellFinished:
    """A cell has its final state."""

    record: CellRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that nbstep itself has to say."""

    message: str
    severity: Severity = Severity.INFO
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The verdict is known; the record may still have to be published."""

    result: RunResult


Event = RunStarted | CellStarted | StreamText | OutputEmitted | OutputsCleared | CellFinished | Notice | RunFinished


class Sink(Protocol):
    """Listens to a run. ``handle`` is called on the kernel's message loop and must return at once."""

    def handle(self, event: Event) -> None:
        """Take an event without blocking. A sink that raises is told no more, and the run goes on."""

    def close(self, timeout: float) -> None:
        """Write out what is held, for at most ``timeout`` seconds."""
