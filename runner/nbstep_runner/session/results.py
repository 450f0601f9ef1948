"""From what was asked for to the verdict: the record after each step of a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nbstep_runner.contract import ErrorInfo, RunResult, RunSpec, RunState
from nbstep_runner.errors import ExitCode, InterruptedRunError, NbstepError, TerminatedError
from nbstep_runner.stores import redact

if TYPE_CHECKING:
    from nbstep_runner.engine.execute import Execution


def blank(spec: RunSpec) -> RunResult:
    """The record of a run that begins now."""
    return replace(RunResult.blank(spec, redact), started_at=datetime.now(UTC).isoformat())


def failed(result: RunResult, error: NbstepError) -> RunResult:
    """The record of a run that an error ended before or after its cells."""
    stopped = isinstance(error, InterruptedRunError | TerminatedError)
    return replace(
        result,
        state=RunState.CANCELLED if stopped else RunState.FAILED,
        exit_code=int(error.exit_code),
        error=ErrorInfo.of(error),
        claim=None,
    )


def lost(result: RunResult, error: NbstepError) -> RunResult:
    """The record of a run whose process ended without saying how."""
    return replace(failed(result, error), state=RunState.LOST, ended_at=datetime.now(UTC).isoformat())


def executed(result: RunResult, execution: Execution) -> RunResult:
    """The record with what came of the cells."""
    return replace(
        result,
        state=execution.state,
        exit_code=int(execution.exit_code),
        error=execution.error,
        cells=execution.cells,
        results=execution.results,
        warnings=(*result.warnings, *execution.warnings),
        claim=None,
    )


def unpublished(result: RunResult, error: NbstepError) -> RunResult:
    """The record of a run whose output could not be stored: the cells' own error, if any, stays the first."""
    if result.exit_code == ExitCode.SUCCEEDED or result.error is None:
        return failed(result, error)
    if result.error.reference == error.reference:  # it ended the cells, too: a claim that was lost while they ran
        return result
    attached = (*result.error.attached, ErrorInfo.of(error))
    return replace(result, error=replace(result.error, attached=attached))


def ended(result: RunResult, seconds: float) -> RunResult:
    """The record with its end."""
    return replace(result, ended_at=datetime.now(UTC).isoformat(), seconds=round(seconds, 6))
