"""A sink that passes each event on to several."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import monotonic

from nbstep_runner.contract.events import Event, Notice, Severity, Sink

_logger = logging.getLogger(__name__)


class FanOut:
    """Passes every event to every sink, in order.

    A sink that raises is told nothing more, and the others are told that: an observer never ends a run.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)
        self._failed: list[Sink] = []

    def handle(self, event: Event) -> None:
        """Tell every sink that works."""
        for sink in tuple(self._sinks):
            try:
                sink.handle(event)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the run
                self._drop(sink, error)

    def close(self, timeout: float) -> None:
        """Close every sink, failed ones too, within ``timeout`` seconds in all."""
        deadline = monotonic() + timeout
        for sink in (*self._failed, *self._sinks):
            try:
                sink.close(max(0.0, deadline - monotonic()))
            except Exception:
                _logger.debug("a sink could not be closed", exc_info=True)

    def _drop(self, sink: Sink, error: Exception) -> None:
        if sink not in self._sinks:
            return
        self._sinks.remove(sink)
        self._failed.append(sink)
        _logger.debug("a sink failed", exc_info=error)
        kind, reason = type(sink).__name__, type(error).__name__
        message = f"{kind} failed ({reason}) and takes no more events; the run goes on"
        self.handle(Notice(message=message, severity=Severity.WARNING, fields={"sink": kind, "exception": reason}))
