"""One sink that tells many."""

from __future__ import annotations

from collections.abc import Sequence

from nbstep_runner.contract.events import Event, Sink


class FanOut:
    """Passes every event to every sink; a sink that raises is dropped, with a notice to the others."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)

    def handle(self, event: Event) -> None:
        """Tell every sink."""
        for sink in self._sinks:
            sink.handle(event)

    def close(self, timeout: float) -> None:
        """Close every sink, within ``timeout`` seconds in all."""
        for sink in self._sinks:
            sink.close(timeout)
