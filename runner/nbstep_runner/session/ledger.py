"""A run's record in the making, and its voice: what is known so far, told to whoever listens."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from nbstep_runner.contract import (
    STANDARD_STREAM,
    CellFinished,
    CellStarted,
    Event,
    Notice,
    Progress,
    RunFinished,
    RunResult,
    RunSpec,
    RunStarted,
    RunState,
    Severity,
    Sink,
)
from nbstep_runner.errors import NbstepError
from nbstep_runner.session import results
from nbstep_runner.session.places import Places
from nbstep_runner.sinks.fanout import FanOut
from nbstep_runner.sinks.log import LogFormat, LogSink

LOG_SECONDS: Final = 5.0
READER_SECONDS: Final = 300.0
"""How long the process waits for a reader of the log that goes on reading, once the run is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Where a run's log goes.

    Attributes:
        stream: Where it is shown, a binary stream; ``None`` for nowhere.
        quiet: Only warnings and errors are shown.
        sinks: Further listeners.
        warnings: What the run is to warn of first.
    """

    stream: BinaryIO | None
    format: LogFormat
    quiet: bool = False
    sinks: tuple[Sink, ...] = ()
    warnings: tuple[str, ...] = ()


class Ledger:
    """The record of one run while it is under way.

    Args:
        spec: What was asked for.
        log_path: The local file that gets the whole log; ``None`` where there is no place for one.
        settings: Who hears of it.

    Attributes:
        result: The record as far as it is known.
        finished: The verdict is told.
        progress: How far its cells are; ``None`` before the first one.
    """

    def __init__(self, spec: RunSpec, log_path: Path | None, settings: LogSettings) -> None:
        self.result: RunResult = results.blank(spec)
        self.finished = False
        self.progress: Progress | None = None
        self._adopted = False
        self._started = time.monotonic()
        self._log = LogSink(
            spec.run_id,
            spec.attempt,
            path=log_path,
            stream=settings.stream,
            format=settings.format,
            quiet=settings.quiet,
            location="" if spec.output_uri == STANDARD_STREAM else Places.of(spec).shown.log,
        )
        self._listeners = FanOut([self._log, *settings.sinks])
        for warning in settings.warnings:
            self.warn(warning)

    @property
    def so_far(self) -> RunResult:
        """The record as if the run ended now."""
        return results.ended(self.result, time.monotonic() - self._started)

    def change(self, **fields: Any) -> None:
        """Write down what is known now."""
        self.result = replace(self.result, **fields)

    def tell(self, event: Event) -> None:
        """Tell the listeners; from any thread, but of the cells from the run's own alone."""
        if isinstance(event, RunStarted | CellStarted | CellFinished):
            self.progress = _further(self.progress, event)
        self._listeners.handle(event)

    def say(self, message: str, severity: Severity = Severity.INFO) -> None:
        """Tell the listeners a sentence."""
        self.tell(Notice(message=message, severity=severity))

    def warn(self, message: str) -> None:
        """Tell a sentence that belongs into the record too."""
        self.say(message, Severity.WARNING)
        self.change(warnings=(*self.result.warnings, message))

    def fail(self, error: NbstepError) -> None:
        """An error that no cell has is the verdict; its context is for those who look closer."""
        self.result = results.failed(self.result, error)
        if error.context:
            self.say(error.context, Severity.DEBUG)

    def adopt(self, record: RunResult) -> None:
        """Another attempt's record is the verdict."""
        self.result = record
        self._adopted = True

    def end(self, *, at_once: bool = False) -> None:
        """The verdict is known: write down when, and what the log lacks, unless there is no time to find out."""
        if self._adopted:
            return
        if at_once:
            self.result = self.so_far
            return
        self._log.flush(LOG_SECONDS)
        for warning in self._log.warnings:
            self.warn(warning)
        self.result = self.so_far

    def finish(self) -> None:
        """Tell the verdict, as the last that the run says; the log's file has all of it then."""
        self.tell(RunFinished(result=self.result))
        self.finished = True
        self._log.flush(LOG_SECONDS)

    def close(self) -> None:
        """Let the listeners write out what they hold; after a stop, which may leave little time, soon."""
        self._log.close(LOG_SECONDS if self.result.state is RunState.CANCELLED else READER_SECONDS)
        self._listeners.close(LOG_SECONDS)


def _further(progress: Progress | None, event: RunStarted | CellStarted | CellFinished) -> Progress | None:
    """How far the cells are once this has happened."""
    if isinstance(event, RunStarted):
        return Progress(ended=0, cells=event.code_cells)
    if progress is not None and isinstance(event, CellStarted):
        return replace(progress, title=event.title)
    if progress is not None and isinstance(event, CellFinished):
        return replace(progress, ended=progress.ended + 1, title="")
    return progress
