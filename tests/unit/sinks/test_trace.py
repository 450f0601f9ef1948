"""The run as spans."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from support.records import run_record

pytest.importorskip("opentelemetry.sdk", reason="the trace extra is not installed")

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from nbstep_runner.contract import (
    CellFinished,
    CellRecord,
    CellStarted,
    CellState,
    ErrorInfo,
    RunFinished,
    RunStarted,
    RunState,
)
from nbstep_runner.sinks.trace import NOT_INSTALLED, TraceSink, Tracing, tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

ENDED = run_record(
    state=RunState.FAILED,
    output_uri="out",
    exit_code=10,
    error=ErrorInfo(reference="cell-failed", message="cell 2 raised"),
)
PARENT = "0af7651916cd43dd8448eb211c80319c"


def spans_of_a_failing_run() -> dict[str, ReadableSpan]:
    exporter = InMemorySpanExporter()
    sink = TraceSink(exporter)
    sink.handle(
        RunStarted(run_id="r", attempt=1, input_uri="in.ipynb", output_uri="out", kernel="python3", code_cells=1)
    )
    sink.handle(CellStarted(index=2, id="c", title="train"))
    sink.handle(CellFinished(record=CellRecord(index=2, id="c", state=CellState.FAILED)))
    sink.handle(RunFinished(result=ENDED))
    sink.close(1.0)
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_cell_is_a_child_of_its_run_and_both_say_that_they_failed() -> None:
    spans = spans_of_a_failing_run()
    run, cell = spans["run in.ipynb"], spans["train"]
    assert cell.parent is not None
    assert cell.parent.span_id == run.context.span_id
    assert (run.status.status_code, run.status.description) == (StatusCode.ERROR, "cell 2 raised")
    assert cell.status.status_code is StatusCode.ERROR
    assert run.attributes is not None
    assert run.attributes["nbstep.exit_code"] == 10


def test_the_run_joins_the_callers_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", f"00-{PARENT}-b7ad6b7169203331-01")
    run = spans_of_a_failing_run()["run in.ipynb"]
    assert f"{run.context.trace_id:032x}" == PARENT


def test_without_an_endpoint_there_is_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert tracing() == Tracing()


def test_an_exporter_that_is_not_installed_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other libraries bring OpenTelemetry's API, without what sends traces."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert tracing() == Tracing(warnings=(NOT_INSTALLED,))


class Stuck(SpanExporter):
    """A collector that does not answer."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take a long time over it."""
        del spans
        time.sleep(5)
        return SpanExportResult.FAILURE


def test_a_collector_that_does_not_answer_holds_nobody_up() -> None:
    sink = TraceSink(Stuck())
    sink.handle(RunStarted(run_id="r", attempt=1, input_uri="in", output_uri="out", kernel="k", code_cells=0))
    sink.handle(RunFinished(result=ENDED))
    began = time.monotonic()
    sink.close(0.1)
    assert time.monotonic() - began < 5
