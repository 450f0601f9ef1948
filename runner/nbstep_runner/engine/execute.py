"""The engine's loop: the cells of a notebook in order, each with its true state."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from nbstep_runner.contract import (
    CellFinished,
    CellRecord,
    CellStarted,
    CellState,
    ErrorInfo,
    Event,
    RunState,
)
from nbstep_runner.engine import cells, metadata
from nbstep_runner.engine.ansi import without_ansi
from nbstep_runner.engine.cell_run import CellRun, Ending, Surroundings
from nbstep_runner.engine.document import Document
from nbstep_runner.errors import CellFailedError, ExitCode, InterruptedRunError, NbstepError, TerminatedError
from nbstep_runner.kernel.death import explain
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.kernel.usage import ProcessUsage

CLEAN_EXITS: Final = ("", "0", "None")
"""Values of a ``SystemExit`` that mean success, as ``sys.exit`` has them (and papermill)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What came of running a notebook's cells.

    Attributes:
        cells: A record for every code cell.
    """

    state: RunState
    exit_code: ExitCode
    seconds: float
    error: ErrorInfo | None = None
    cells: tuple[CellRecord, ...] = ()
    results: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the run does not go on after a cell: an error, or none where all is done or the notebook asked to end."""

    error: ErrorInfo | None
    exit_code: ExitCode
    state: RunState


SUCCESS: Final = Verdict(None, ExitCode.SUCCEEDED, RunState.SUCCEEDED)


class Executor:
    """Runs the cells of one document on one kernel.

    Args:
        document: The notebook, parameterized and cleared.
        around: What the cells share.
        memory: Watches the cgroup since before the kernel started.
        emit: Tells the listeners.
        allow_errors: Go on after a cell that raised.
    """

    def __init__(
        self,
        document: Document,
        around: Surroundings,
        memory: MemoryWatch,
        emit: Callable[[Event], None],
        *,
        allow_errors: bool,
    ) -> None:
        self._document = document
        self._around = around
        self._memory = memory
        self._emit = emit
        self._allow_errors = allow_errors
        self._records: list[CellRecord] = []
        self._allowed = 0

    def run(self) -> Execution:
        """Run every cell, or as far as it goes; the cells after that are ``not_run``."""
        started = time.monotonic()
        verdict: Verdict | None = None
        for index, cell in enumerate(self._document.cells):
            verdict = verdict or self._stopped()
            if verdict is None:
                verdict = self._take(index, cell)
            else:
                self._leave(index, cell)
        verdict = verdict or SUCCESS
        return Execution(
            state=verdict.state,
            exit_code=verdict.exit_code,
            error=verdict.error,
            seconds=time.monotonic() - started,
            cells=tuple(self._records),
            results=self._around.recorder.results,
            warnings=self._warnings(),
        )

    def _stopped(self) -> Verdict | None:
        stop = self._around.supervisor.stop
        return verdict_of(stop.error) if stop else None

    def _take(self, index: int, cell: dict[str, Any]) -> Verdict | None:
        """Do what a cell asks for; the verdict where the notebook ends with it."""
        if not cells.is_code(cell):
            metadata.begin_cell(cell)
            metadata.end_cell(cell, CellState.SUCCEEDED, 0.0, raised=False)
            self._document.finish(index)
            return None
        if cells.has_tag(cell, cells.SKIP):
            self._close(index, cell, CellState.SKIPPED, None)
            return None
        return self._run(index, cell)

    def _leave(self, index: int, cell: dict[str, Any]) -> None:
        """Pass a cell that the run does not reach."""
        if cells.is_code(cell):
            self._close(index, cell, CellState.NOT_RUN, None)
        else:
            self._document.finish(index)

    def _run(self, index: int, cell: dict[str, Any]) -> Verdict | None:
        metadata.begin_cell(cell)
        self._emit(CellStarted(index=index, id=cell.get("id"), title=cells.title_of(cell)))
        if not cells.source_of(cell).strip():
            self._close(index, cell, CellState.SUCCEEDED, 0.0)
            return None
        usage = Usage(self._around.kernel.process.usage)
        ending = CellRun(self._around, index, cell).run()
        state, verdict = self._judge(index, cell, ending)
        self._close(index, cell, state, ending.seconds, usage=usage, raised=state is not CellState.SUCCEEDED)
        return verdict

    def _judge(self, index: int, cell: dict[str, Any], ending: Ending) -> tuple[CellState, Verdict | None]:
        if ending.cut is not None:
            return ending.cut.state, verdict_of(ending.cut.error, index, cell)
        if ending.reply is None:
            error = explain(self._around.kernel.process, self._memory)
            self._around.recorder.add_error(index, type(error).__name__, error.message, [])
            return CellState.FAILED, verdict_of(error, index, cell)
        if ending.reply.get("status") != "ok":
            return self._judge_error(index, cell, ending.reply)
        return CellState.SUCCEEDED, SUCCESS if asks_to_exit(ending.reply) else None

    def _judge_error(self, index: int, cell: dict[str, Any], reply: dict[str, Any]) -> tuple[CellState, Verdict | None]:
        name, value = str(reply.get("ename", "")), str(reply.get("evalue", ""))
        if name == "SystemExit" and value in CLEAN_EXITS:
            return CellState.SUCCEEDED, SUCCESS
        if not self._around.recorder.has_error(index):
            self._around.recorder.add_error(index, name, value, list(reply.get("traceback") or []))
        if cells.has_tag(cell, cells.MAY_RAISE):
            return CellState.SUCCEEDED, None
        if self._allow_errors and name != "SystemExit":
            self._allowed += 1
            return CellState.FAILED, None
        return CellState.FAILED, failure(index, cell, self._around.recorder.masked(reply))

    def _close(
        self,
        index: int,
        cell: dict[str, Any],
        state: CellState,
        seconds: float | None,
        *,
        usage: Usage | None = None,
        raised: bool = False,
    ) -> None:
        metadata.end_cell(cell, state, seconds, raised=raised)
        self._around.recorder.end(index) if usage else self._document.finish(index)
        record = CellRecord(
            index=index,
            id=cell.get("id"),
            state=state,
            title=cells.title_of(cell),
            execution_count=cell.get("execution_count") if usage else None,
            seconds=seconds,
            cpu_seconds=usage.cpu_seconds if usage else None,
            peak_memory_bytes=usage.peak_bytes if usage else None,
            output_bytes=self._around.recorder.output_bytes.get(index, 0),
        )
        self._records.append(record)
        if seconds is not None:
            self._emit(CellFinished(record=record))

    def _warnings(self) -> tuple[str, ...]:
        if not self._allowed:
            return ()
        return (f"{self._allowed} cells raised, which was allowed: their states are 'failed'",)


class Usage:
    """What the kernel uses from now on; read when a cell has ended."""

    def __init__(self, process: ProcessUsage) -> None:
        self._process = process
        self._cpu_before = process.cpu_seconds()
        process.reset_peak()

    @property
    def cpu_seconds(self) -> float | None:
        """CPU time used since; ``None`` where unknown, as of a dead kernel."""
        used = self._process.cpu_seconds()
        return None if used is None or self._cpu_before is None else used - self._cpu_before

    @property
    def peak_bytes(self) -> int | None:
        """The peak of resident memory since."""
        return self._process.peak_bytes()


def asks_to_exit(reply: dict[str, Any]) -> bool:
    """Whether the cell called ``exit()`` or ``quit()``, which asks the kernel's client to end (``ask_exit``)."""
    return any(part.get("source") == "ask_exit" for part in reply.get("payload") or ())


def failure(index: int, cell: dict[str, Any], reply: dict[str, Any]) -> Verdict:
    """The verdict for a cell that raised; ``reply`` is its ``execute_reply``, without secrets."""
    name, value = str(reply.get("ename", "")), str(reply.get("evalue", ""))
    first_line = value.splitlines()[0] if value.strip() else ""
    message = f"cell {index} raised {name}{f': {first_line}' if first_line else ''}"
    traceback = [without_ansi(line) for part in reply.get("traceback") or () for line in str(part).splitlines()]
    info = replace(
        info_of(CellFailedError(message), index, cell),
        exception_name=name,
        exception_value=without_ansi(value),
        traceback=tuple(traceback),
    )
    return Verdict(info, CellFailedError.exit_code, RunState.FAILED)


def verdict_of(error: NbstepError, index: int | None = None, cell: dict[str, Any] | None = None) -> Verdict:
    """The verdict that an error stands for, naming its cell."""
    stopped = isinstance(error, InterruptedRunError | TerminatedError)
    state = RunState.CANCELLED if stopped else RunState.FAILED
    return Verdict(info_of(error, index, cell), error.exit_code, state)


def info_of(error: NbstepError, index: int | None, cell: dict[str, Any] | None) -> ErrorInfo:
    """An error as data, naming its cell."""
    return replace(ErrorInfo.of(error), cell_index=index, cell_id=cell.get("id") if cell else None)
