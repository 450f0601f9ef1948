"""The engine's loop: the cells of a notebook in order, each with its true state."""

from __future__ import annotations

import time
import traceback
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
    Notice,
    RunState,
    Severity,
)
from nbstep_runner.engine import cells, metadata
from nbstep_runner.engine.cell_run import CellContext, CellOutcome, CellRun
from nbstep_runner.engine.document import Document
from nbstep_runner.engine.messages import Raised, exit_asked
from nbstep_runner.engine.printed_errors import complaint_in, printed_error, status_of_exit
from nbstep_runner.engine.verdict import SUCCESS, Verdict, described, failure, unanswered, verdict_of
from nbstep_runner.errors import ExitCode, InternalError, NbstepError
from nbstep_runner.kernel.death import explain
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.kernel.usage import UsageSince


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What came of running a notebook's cells.

    Attributes:
        cells: A record for every code cell.
        files: Paths that the notebook reported as results.
    """

    state: RunState
    exit_code: ExitCode
    seconds: float
    error: ErrorInfo | None = None
    cells: tuple[CellRecord, ...] = ()
    results: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def ended_by(self, error: NbstepError) -> Execution:
        """The same cells, and another end that came after them."""
        verdict = verdict_of(error)
        return replace(self, state=verdict.state, exit_code=verdict.exit_code, error=verdict.error)


NAMELESS: Final = ("", "NoneType")
"""How ipykernel names an error that IPython has caught and shown itself, such as one in a ``_repr_html_``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What counts as a failure, and which cells run.

    Attributes:
        allow_errors: Go on after a cell that raised.
        strict_shell: A cell with a command (``!``) that failed has failed.
        selection: Which cells run.
    """

    allow_errors: bool
    strict_shell: bool
    selection: cells.Selection


class Executor:
    """Runs the cells of one document on one kernel.

    Args:
        document: The notebook, parameterized and cleared.
        around: What the cells share.
        memory: Watches the cgroup since before the kernel started.
        emit: Tells the listeners.
        rules: What counts as a failure, and which cells run.
    """

    def __init__(
        self, document: Document, around: CellContext, memory: MemoryWatch, emit: Callable[[Event], None], rules: Rules
    ) -> None:
        self._document = document
        self._around = around
        self._memory = memory
        self._emit = emit
        self._rules = rules
        self._records: list[CellRecord] = []
        self._allowed = 0
        self._told: set[str] = set()

    def run(self) -> Execution:
        """Run every cell, or as far as it goes; the cells after that are ``not_run``.

        What the notebook reports is not in it yet: see :meth:`with_reports`.
        """
        started = time.monotonic()
        verdict: Verdict | None = None
        for index, cell in enumerate(self._document.cells):
            verdict = verdict or self._stopped()
            if verdict is None:
                verdict = self._attempt(index, cell)
            else:
                self._leave(index, cell)
        verdict = verdict or SUCCESS
        return Execution(
            state=verdict.state,
            exit_code=verdict.exit_code,
            error=verdict.error,
            seconds=time.monotonic() - started,
            cells=tuple(self._records),
        )

    def with_reports(self, execution: Execution, *at_end: str) -> Execution:
        """What came of the cells, with all that the notebook has reported and shown until its kernel's end.

        Args:
            execution: What came of the cells.
            at_end: What is to be warned of besides.
        """
        reported = self._around.recorder.reported
        warnings = (*self._warnings(), *at_end)
        for each in warnings:
            if each not in self._told:
                self._warn(each)
        warnings = (*warnings, *reported.warnings)
        return replace(execution, results=reported.results, files=tuple(reported.files), warnings=warnings)

    def _stopped(self) -> Verdict | None:
        stop = self._around.supervisor.stop
        return verdict_of(stop.error) if stop else None

    def _attempt(self, index: int, cell: dict[str, Any]) -> Verdict | None:
        """Take a cell; a fault of ours on the way ends the run there, and the notebook so far is kept."""
        try:
            return self._take(index, cell)
        except Exception as error:  # noqa: BLE001 - whatever it is, what the cells before it made is not lost
            metadata.end_cell(cell, CellState.FAILED, 0.0, raised=True)
            self._around.recorder.abandon(index)
            self._note(index, cell, CellState.FAILED, 0.0)
            return verdict_of(self._explained(error), index, cell)

    def faulted(self, execution: Execution, error: Exception) -> Execution:
        """What came of the cells, where something went wrong after them: a verdict that stood before it stays."""
        verdict = verdict_of(self._explained(error))
        if execution.error is not None and verdict.error is not None:
            attached = (*execution.error.attached, verdict.error)
            return replace(execution, error=replace(execution.error, attached=attached))
        return replace(execution, state=verdict.state, exit_code=verdict.exit_code, error=verdict.error)

    def _explained(self, error: Exception) -> NbstepError:
        """An error of ours as it is, anything else as the fault that it is, its traceback in the log."""
        if isinstance(error, NbstepError):
            return error
        told = Raised(type(error).__name__, str(error), tuple(traceback.format_exception(error)))
        masked = self._around.recorder.masked(told)
        self._emit(Notice(message="".join(masked.traceback), severity=Severity.DEBUG))
        return InternalError(f"{masked.name}: {masked.value}")

    def _take(self, index: int, cell: dict[str, Any]) -> Verdict | None:
        """Do what a cell asks for; the verdict where the notebook ends with it."""
        if not cells.is_code(cell):
            metadata.begin_cell(cell)
            metadata.end_cell(cell, CellState.SUCCEEDED, 0.0, raised=False)
            self._document.finish(index)
            return None
        if self._rules.selection.leaves_out(cell):
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
        self._tell_widgets()
        usage = UsageSince(self._around.kernel.process.usage)
        ending = CellRun(self._around, index, cell).run()
        self._around.supervisor.restore_limits()  # before a thread is made that those the cell has lowered would end
        state, verdict = self._judge(index, cell, ending)
        self._close(index, cell, state, ending.seconds, usage=usage, raised=state is not CellState.SUCCEEDED)
        return verdict

    def _tell_widgets(self) -> None:
        """Let the kernel's output widgets know what they hold by now, as a page would that shows them."""
        for comm_id, state in self._around.recorder.widget_news():
            data = {"method": "update", "state": state, "buffer_paths": []}
            self._around.kernel.request("comm_msg", {"comm_id": comm_id, "data": data})

    def _judge(self, index: int, cell: dict[str, Any], ending: CellOutcome) -> tuple[CellState, Verdict | None]:
        if ending.cut is not None:
            return ending.cut.state, verdict_of(ending.cut.error, index, cell)
        if ending.reply is None:
            error = explain(self._around.kernel.process, self._memory) if ending.died else unanswered(index)
            self._around.recorder.add_error(index, Raised(type(error).__name__, error.message))
            return CellState.FAILED, verdict_of(error, index, cell)
        if ending.reply.get("status") != "ok":
            return self._judge_reply(index, cell, Raised.of(ending.reply))
        asked = exit_asked(ending.reply)
        if asked is not None and not asked.value:
            language = self._around.kernel.process.spec.language
            asked = Raised(asked.name, status_of_exit(language, cells.source_of(cell)))
        if asked is not None and not asked.is_clean_exit:
            return self._judge_reply(index, cell, asked)
        exits = SUCCESS if asked else None
        raised = self._around.recorder.raised(index) or self._failed_command(index) or self._printed_error(index, cell)
        if raised is not None:
            state, verdict = self._judge_raised(index, cell, raised, goes_on=True)
            return state, verdict or exits
        return CellState.SUCCEEDED, exits

    def _failed_command(self, index: int) -> Raised | None:
        """A command that failed, as an error that the cell shows, where that is what the run wants."""
        failed = self._around.recorder.failed_commands.get(index, [])
        if not (failed and self._rules.strict_shell):
            return None
        raised = Raised("CommandFailed", str(failed[0]))
        self._around.recorder.add_error(index, raised)
        return raised

    def _printed_error(self, index: int, cell: dict[str, Any]) -> Raised | None:
        """An error that the kernel has only printed, as one that the cell shows."""
        text, language = self._around.recorder.last_text(index), self._around.kernel.process.spec.language
        raised = printed_error(language, cells.source_of(cell), text) if text else None
        if raised is not None:
            self._around.recorder.add_error(index, raised)
        return raised

    def _judge_reply(self, index: int, cell: dict[str, Any], raised: Raised) -> tuple[CellState, Verdict | None]:
        """The kernel says that the cell did not come to its end."""
        if raised.is_clean_exit:
            return CellState.SUCCEEDED, SUCCESS
        masked = self._around.recorder.masked(raised)
        if masked.name in NAMELESS and (shown := self._around.recorder.raised(index)) is not None:
            masked = shown
        if not self._around.recorder.has_error(index):
            self._around.recorder.add_error(index, masked)
        return self._judge_raised(index, cell, masked, goes_on=not raised.is_exit)

    def _judge_raised(
        self, index: int, cell: dict[str, Any], raised: Raised, *, goes_on: bool
    ) -> tuple[CellState, Verdict | None]:
        """Code of the cell raised, whether or not the kernel's reply says so; ``goes_on`` where that may be allowed."""
        if cells.has_tag(cell, cells.MAY_RAISE):
            return CellState.SUCCEEDED, None
        if self._rules.allow_errors and goes_on:
            self._allowed += 1
            return CellState.FAILED, None
        return CellState.FAILED, failure(
            index, cell, raised, complaint_in(self._around.recorder.last_text(index, "stderr"))
        )

    def _close(
        self,
        index: int,
        cell: dict[str, Any],
        state: CellState,
        seconds: float | None,
        *,
        usage: UsageSince | None = None,
        raised: bool = False,
    ) -> None:
        metadata.end_cell(cell, state, seconds, raised=raised)
        self._around.recorder.end(index) if usage else self._document.finish(index)
        if index in self._around.recorder.failed_commands:
            self._warn(self._command_warning(index))
        self._note(index, cell, state, seconds, usage)

    def _warn(self, message: str) -> None:
        self._told.add(message)
        self._emit(Notice(message=message, severity=Severity.WARNING))

    def _command_warning(self, index: int) -> str:
        first, *others = self._around.recorder.failed_commands[index]
        more = f", and {len(others)} more failed" if others else ""
        return f"cell {index}: {first}{more}"

    def _note(
        self, index: int, cell: dict[str, Any], state: CellState, seconds: float | None, usage: UsageSince | None = None
    ) -> None:
        """Write the cell's record; tell of it where the cell has been begun."""
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
        allowed = (f"{self._allowed} cells raised, which was allowed: their states are 'failed'",)
        late = (
            f"cell {index} showed an error after its end, when its state was told already: {described(raised)}"
            for index, raised in sorted(self._around.recorder.raised_late.items())
        )
        commands = map(self._command_warning, sorted(self._around.recorder.failed_commands))
        return (*(allowed if self._allowed else ()), *commands, *late)
