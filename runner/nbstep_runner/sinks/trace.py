"""The run as an OpenTelemetry trace: a span for the run, a child span for each cell.

Configured as every OpenTelemetry program is, by ``OTEL_*`` variables (OpenTelemetry specification, "Environment
variable specification"); a caller's ``TRACEPARENT`` (W3C Trace Context) makes the run part of its trace.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nbstep_runner.contract import CellFinished, CellStarted, CellState, Event, RunFinished, RunStarted, RunState

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NOT_INSTALLED: Final = (
    "no trace is sent, although OTEL_EXPORTER_OTLP_ENDPOINT or its like is set: "
    "traces need OpenTelemetry's SDK and exporter (pip install 'nbstep[trace]')"
)
BAD_CELLS: Final = (CellState.FAILED, CellState.TIMED_OUT, CellState.INTERRUPTED)


class TraceSink:
    """Turns a run's events into spans; a background thread of the SDK sends them."""

    def __init__(self, exporter: SpanExporter) -> None:
        from opentelemetry.propagate import extract
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("nbstep")
        self._parent = extract({"traceparent": os.environ.get("TRACEPARENT", "")})
        self._run: Any = None
        self._cell: Any = None

    def handle(self, event: Event) -> None:
        """Begin and end spans."""
        match event:
            case RunStarted():
                attributes: dict[str, Any] = {
                    "nbstep.run_id": event.run_id,
                    "nbstep.attempt": event.attempt,
                    "nbstep.kernel": event.kernel,
                }
                self._run = self._tracer.start_span(f"run {event.input_uri}", self._parent, attributes=attributes)
            case CellStarted() if self._run is not None:
                self._cell = self._start_cell(event)
            case CellFinished() if self._cell is not None:
                self._cell.set_attribute("nbstep.state", str(event.record.state))
                _end(self._cell, failed=event.record.state in BAD_CELLS, why=str(event.record.state))
                self._cell = None
            case RunFinished() if self._run is not None:
                self._end_run(event)
            case _:
                return

    def close(self, timeout: float) -> None:
        """Send what is held; the SDK itself waits longer than ``timeout`` for a collector that does not answer."""
        ending = threading.Thread(target=self._provider.shutdown, name="nbstep-trace", daemon=True)
        ending.start()
        ending.join(timeout)

    def _start_cell(self, event: CellStarted) -> Any:
        from opentelemetry.trace import set_span_in_context

        attributes: dict[str, Any] = {"nbstep.cell.index": event.index, "nbstep.cell.id": event.id or ""}
        return self._tracer.start_span(
            event.title or f"cell {event.index}", set_span_in_context(self._run), attributes=attributes
        )

    def _end_run(self, event: RunFinished) -> None:
        result = event.result
        self._run.set_attribute("nbstep.state", str(result.state))
        self._run.set_attribute("nbstep.exit_code", result.exit_code or 0)
        _end(self._run, failed=result.state is not RunState.SUCCEEDED, why=result.error.message if result.error else "")
        self._run = None


@dataclass(frozen=True, slots=True)
class Tracing:
    """What the environment asks for: the sink, or why there is none although it asks."""

    sinks: tuple[TraceSink, ...] = ()
    warnings: tuple[str, ...] = ()


def tracing() -> Tracing:
    """The sink that the environment asks for by naming an OTLP endpoint; none where it names none.

    Platforms set these variables for every container, so packages that are missing are no reason not to run.
    """
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:  # of all of it, or of the exporter alone: other libraries bring the API
        return Tracing(warnings=(NOT_INSTALLED,))
    return Tracing((TraceSink(OTLPSpanExporter()),))


def _end(span: Any, *, failed: bool, why: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    if failed:
        span.set_status(Status(StatusCode.ERROR, why))
    span.end()
