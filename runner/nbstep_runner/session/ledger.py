"""A run's record in the making, and its voice: what is known so far, told to whoever listens."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from nbstep_runner.contract import Event, Notice, RunFinished, RunResult, RunSpec, Severity, Sink
from nbstep_runner.session import results
from nbstep_runner.session.claim import ClaimKeeper
from nbstep_runner.session.places import Places
from nbstep_runner.session.work import OutputPlace
from nbstep_runner.sinks.fanout import FanOut
from nbstep_runner.sinks.log import LogFormat, LogSink

LOG_SECONDS: Final = 5.0


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


@dataclass(slots=True)
class Holding:
    """What a run holds of its output's place: what was found there, and the claim once it is taken."""

    place: OutputPlace | None = None
    claim: ClaimKeeper | None = field(default=None)


class Ledger:
    """The record of one run while it is under way.

    Args:
        spec: What was asked for.
        places: Where the run's objects lie; ``None`` for standard output.
        log_path: The local file that gets the whole log; ``None`` where there is no place for one.
        settings: Who hears of it.
    """

    def __init__(self, spec: RunSpec, places: Places | None, log_path: Path | None, settings: LogSettings) -> None:
        self.result: RunResult = results.blank(spec)
        self.log_path = log_path
        self._started = time.monotonic()
        self._log = LogSink(
            spec.run_id,
            spec.attempt,
            path=log_path,
            stream=settings.stream,
            format=settings.format,
            quiet=settings.quiet,
            location=places.shown.log if places else "",
        )
        self._listeners = FanOut([self._log, *settings.sinks])
        for warning in settings.warnings:
            self.warn(warning)

    def change(self, **fields: Any) -> None:
        """Write down what is known now."""
        self.result = replace(self.result, **fields)

    def tell(self, event: Event) -> None:
        """Tell the listeners."""
        self._listeners.handle(event)

    def say(self, message: str, severity: Severity = Severity.INFO) -> None:
        """Tell the listeners a sentence."""
        self.tell(Notice(message=message, severity=severity))

    def warn(self, message: str) -> None:
        """Tell a sentence that belongs into the record too."""
        self.say(message, Severity.WARNING)
        self.change(warnings=(*self.result.warnings, message))

    def end(self) -> None:
        """The verdict is known: write down when, and tell it."""
        self.result = results.ended(self.result, time.monotonic() - self._started)
        self.tell(RunFinished(result=self.result))

    def complete_log(self) -> Path | None:
        """The log's file with all that was told so far, if it has one; what it lacks becomes warnings."""
        self._log.flush(LOG_SECONDS)
        for warning in self._log.warnings:
            self.warn(warning)
        return self.log_path

    def close(self) -> None:
        """Let the listeners write out what they hold."""
        self._listeners.close(LOG_SECONDS)
