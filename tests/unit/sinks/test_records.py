from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nbstep_runner.contract import (
    CellFinished,
    CellRecord,
    CellStarted,
    CellState,
    ErrorInfo,
    Event,
    Notice,
    OutputEmitted,
    RunFinished,
    RunResult,
    RunStarted,
    RunState,
    Severity,
)
from nbstep_runner.sinks.console import ConsoleLines
from nbstep_runner.sinks.json_lines import JsonLines
from nbstep_runner.sinks.records import MAX_SHOWN, describe
from support.records import run_record

NOON = 1_800_000_000.25


def as_json(event: Event, *, whole: bool = True) -> dict[str, Any]:
    line = JsonLines("run-1", 2).record(describe(event), 7, NOON, whole=whole)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    decoded: dict[str, Any] = msgspec.json.decode(line)
    assert decoded.pop("time") == "2027-01-15T08:00:00.250000Z"
    assert (decoded.pop("run_id"), decoded.pop("attempt"), decoded.pop("seq")) == ("run-1", 2, 7)
    return decoded


def as_console(event: Event) -> list[str]:
    lines = ConsoleLines(color=False).record(describe(event), NOON).decode().splitlines()
    assert all(line[:12].endswith(":00.250") for line in lines), "each line starts with the local time"
    return [line[13:] for line in lines]


def display(data: dict[str, Any], *, dropped: bool = False) -> OutputEmitted:
    output = {"output_type": "display_data", "data": data, "metadata": {}}
    return OutputEmitted(index=3, id="ab", output=output, dropped=dropped)


def run_result(state: RunState, error: ErrorInfo | None = None) -> RunResult:
    return run_record(run_id="run-1", attempt=2, state=state, exit_code=10 if error else 0, seconds=75.4, error=error)


def test_the_start_of_a_run() -> None:
    event = RunStarted(
        run_id="run-1", attempt=2, input_uri="in.ipynb", output_uri="out.ipynb", kernel="python3", code_cells=4
    )
    assert as_json(event) == {
        "severity": "INFO",
        "event": "run-started",
        "message": "run run-1 started: in.ipynb -> out.ipynb (4 code cells)",
        "input_uri": "in.ipynb",
        "output_uri": "out.ipynb",
        "kernel": "python3",
        "code_cells": 4,
    }
    assert as_console(event) == ["nbstep: run run-1 started: in.ipynb -> out.ipynb (4 code cells)"]


def test_the_start_of_a_cell_with_a_title_that_misbehaves() -> None:
    event = CellStarted(index=3, id="ab", title="Load\n\x1b[31mdata \u202e")
    decoded = as_json(event)
    assert decoded["title"] == "Load\\ndata \\u202e"
    assert decoded["cell"] == {"index": 3, "id": "ab"}
    assert as_console(event) == ["nbstep: cell 3 started: Load\\ndata \\u202e"]


@pytest.mark.parametrize(
    ("state", "severity", "said"),
    [
        (CellState.SUCCEEDED, "INFO", "nbstep: cell 3 succeeded in 1.25 s"),
        (CellState.FAILED, "ERROR", "nbstep: ERROR: cell 3 failed in 1.25 s"),
        (CellState.TIMED_OUT, "ERROR", "nbstep: ERROR: cell 3 timed out in 1.25 s"),
        (CellState.INTERRUPTED, "WARNING", "nbstep: WARNING: cell 3 interrupted in 1.25 s"),
    ],
)
def test_the_end_of_a_cell(state: CellState, severity: str, said: str) -> None:
    event = CellFinished(record=CellRecord(index=3, id="ab", state=state, title="Load", seconds=1.25, output_bytes=9))
    assert as_json(event) == {
        "severity": severity,
        "event": "cell-finished",
        "message": said.rpartition(": ")[2],
        "cell": {"index": 3, "id": "ab"},
        "title": "Load",
        "state": state.value,
        "execution_count": None,
        "seconds": 1.25,
        "cpu_seconds": None,
        "peak_memory_bytes": None,
        "output_bytes": 9,
    }
    assert as_console(event) == [said]


def test_a_cell_that_never_ran_has_no_duration() -> None:
    assert as_console(CellFinished(record=CellRecord(index=5, id=None, state=CellState.NOT_RUN))) == [
        "nbstep: cell 5 not run"
    ]


def test_a_notice_keeps_its_fields_apart() -> None:
    decoded = as_json(Notice(message="slow\ndisk", severity=Severity.WARNING, fields={"seq": 1, "message": "x"}))
    assert decoded == {
        "severity": "WARNING",
        "event": "notice",
        "message": "slow\ndisk",
        "fields": {"seq": 1, "message": "x"},
    }
    assert as_console(Notice(message="slow\ndisk", severity=Severity.WARNING)) == ["nbstep: WARNING: slow\\ndisk"]


def test_a_notice_whose_fields_json_cannot_say_is_still_told() -> None:
    assert as_json(Notice(message="x", fields={"path": object, "text": "\udc80"}))["fields"]["text"] == "\\udc80"


def test_the_end_of_a_run() -> None:
    error = ErrorInfo(
        reference="cell-failed",
        message="cell 3 raised ValueError",
        cell_index=3,
        traceback=("...",),
        attached=(ErrorInfo(reference="storage-denied", message="no"),),
    )
    event = RunFinished(result=run_result(RunState.FAILED, error))
    decoded = as_json(event)
    assert decoded["severity"] == "ERROR"
    assert (decoded["event"], decoded["state"], decoded["exit_code"]) == ("run-finished", "failed", 10)
    assert decoded["error"]["reference"] == "cell-failed"
    assert decoded["error"]["attached"][0]["reference"] == "storage-denied"
    assert as_console(event) == ["nbstep: ERROR: run failed in 75 s: cell 3 raised ValueError"]
    assert as_console(RunFinished(result=run_result(RunState.SUCCEEDED))) == ["nbstep: run succeeded in 75 s"]


def test_a_display_shows_its_text() -> None:
    event = display({"text/plain": "   a\n0  1", "text/html": "<table>"})
    assert as_json(event) == {
        "severity": "INFO",
        "event": "output",
        "message": "   a\n0  1",
        "cell": {"index": 3, "id": "ab"},
        "output_type": "display_data",
        "mime_types": ["text/plain", "text/html"],
    }
    assert as_console(event) == ["[3]    a", "[3] 0  1"]


def test_a_display_without_text_is_named() -> None:
    assert as_console(display({"image/png": "iVBORw0K"})) == ["[3] <image/png>"]


def test_a_long_display_shows_head_and_tail() -> None:
    message = as_json(display({"text/plain": "a" * 30_000 + "z" * 30_000}))["message"]
    assert message.startswith("aaa")
    assert message.endswith("zzz")
    assert "43616 characters not shown" in message
    assert len(message) < MAX_SHOWN + 100


def test_an_output_that_the_notebook_does_not_keep_is_logged_whole() -> None:
    event = display({"text/plain": "x", "image/png": "iVBORw0K" * 10, "text/html": "\u202e\ud800"}, dropped=True)
    decoded = as_json(event)
    assert decoded["output"]["data"] == {"text/plain": "x", "image/png": "iVBORw0K" * 10, "text/html": "\u202e\\ud800"}
    assert "output" not in as_json(event, whole=False)
    assert "output" not in as_json(display({"image/png": "x"}))


def test_an_error_has_its_traceback_without_colours() -> None:
    output = {
        "output_type": "error",
        "ename": "ValueError",
        "evalue": "bad \u202e",
        "traceback": ["\x1b[31mTraceback\x1b[0m\n  line 1", "ValueError: bad"],
    }
    event = OutputEmitted(index=3, id=None, output=output)
    decoded = as_json(event)
    assert decoded["message"] == "ValueError: bad \\u202e"
    assert decoded["traceback"] == ["Traceback", "  line 1", "ValueError: bad"]
    assert decoded["severity"] == "ERROR"
    assert as_console(event) == ["[3:error] Traceback", "[3:error]   line 1", "[3:error] ValueError: bad"]


@pytest.mark.parametrize("output", [{}, {"data": None}, {"output_type": "error"}, {"data": {"text/plain": ["a", "b"]}}])
def test_odd_outputs_are_told_too(output: dict[str, Any]) -> None:
    assert as_json(OutputEmitted(index=0, id=None, output=output))["event"] == "output"


def test_colour_is_only_where_it_is_asked_for() -> None:
    record = describe(Notice(message="x", severity=Severity.ERROR))
    assert b"\x1b[31m" in ConsoleLines(color=True).record(record, NOON)
    assert b"\x1b" not in ConsoleLines(color=False).record(record, NOON)
