from __future__ import annotations

import io
import os
import pty
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from nbstep.views.progress import LineKind, RunProgress, Shown
from nbstep.views.terminal import MAX_WAITING, RunView
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
    RunStarted,
    RunState,
    Severity,
    StreamText,
)
from nbstep_runner.page import duration
from nbstep_runner.sinks import LogFormat, LogSink
from support.records import run_record

STARTED = RunStarted(run_id="r", attempt=1, input_uri="in", output_uri="out.ipynb", kernel="python3", code_cells=2)
CELL = CellStarted(index=3, id="c", title="Load [bold]data[/bold]")
FAILURE = OutputEmitted(
    index=3,
    id="c",
    output={"output_type": "error", "ename": "ValueError", "evalue": "bad", "traceback": ["Traceback", "  at [1]"]},
)


def ended(state: CellState) -> CellFinished:
    return CellFinished(
        record=CellRecord(index=3, id="c", state=state, title=CELL.title, execution_count=4, seconds=1.5)
    )


def finished(state: RunState, error: ErrorInfo | None = None) -> RunFinished:
    return RunFinished(
        result=run_record(
            state=state,
            output_version="7",
            log_uri="out.log.jsonl",
            html_uri="out.html",
            exit_code=10 if error else 0,
            error=error,
            seconds=62,
        )
    )


def log(*events: Event) -> list[bytes]:
    """The lines that a real log makes of events."""
    stream = io.BytesIO()
    sink = LogSink("r", 1, path=None, stream=stream, format=LogFormat.JSON)
    for event in events:
        sink.handle(event)
    sink.close(10)
    return stream.getvalue().splitlines(keepends=True)


def applied(*lines: bytes) -> list[Shown]:
    progress = RunProgress(since=0.0)
    shown = [shown for line in lines for shown in progress.apply(line, 1.0)]
    return [*shown, *progress.finish()]


def text_line(message: str, stream: str = "stdout", **flags: Any) -> bytes:
    return msgspec.json.encode({"message": message, "cell": {"index": 3, "id": "c"}, "stream": stream, **flags})


def screen(*events: Event, extra: bytes = b"", exit_code: int | None = None) -> str:
    """All that a terminal is told, without its control sequences."""
    file = io.StringIO()
    view = RunView(Console(file=file, width=100, force_terminal=True, color_system=None, legacy_windows=False))
    for line in log(*events):
        view.feed(line)
    if extra:
        view.feed(extra)
    view.close(exit_code=exit_code)
    return file.getvalue()


def test_how_a_run_stands_follows_its_log() -> None:
    progress = RunProgress(since=0.0)
    lines = log(STARTED, CELL, ended(CellState.SUCCEEDED), finished(RunState.SUCCEEDED))
    list(progress.apply(lines[0], 1.0))
    assert progress.code_cells == 2
    assert progress.running is None
    list(progress.apply(lines[1], 2.0))
    assert progress.running
    assert (progress.running.index, progress.running.title, progress.running.since) == (3, CELL.title, 2.0)
    assert list(progress.apply(lines[2], 3.0)) == [Shown(LineKind.SUCCEEDED, f"[4] {CELL.title}", 1.5)]
    assert progress.ended_cells == 1
    assert list(progress.apply(lines[3], 4.0)) == []
    assert progress.verdict
    assert progress.verdict.state == "succeeded"


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        (CellState.FAILED, LineKind.FAILED, "(failed)"),
        (CellState.TIMED_OUT, LineKind.FAILED, "(timed out)"),
        (CellState.INTERRUPTED, LineKind.FAILED, "(interrupted)"),
        (CellState.NOT_RUN, LineKind.PASSED_OVER, "(not run)"),
        (CellState.SKIPPED, LineKind.PASSED_OVER, "(skipped)"),
    ],
)
def test_no_cell_is_called_better_than_it_is(state: CellState, kind: LineKind, said: str) -> None:
    (shown,) = applied(*log(ended(state)))
    assert shown.kind is kind
    assert shown.text == f"[4] {CELL.title} {said}"


def test_a_cell_that_never_ran_has_no_number() -> None:
    (shown,) = applied(*log(CellFinished(record=CellRecord(index=3, id="c", state=CellState.NOT_RUN, title="Load"))))
    assert shown.text == "[ ] Load (not run)"


def test_output_stands_below_the_heading_of_its_own_cell() -> None:
    other = CellStarted(index=4, id="d", title="Train")
    shown = applied(
        *log(
            CELL, StreamText(3, "c", "stdout", "a\n"), StreamText(3, "c", "stdout", "b\n"), ended(CellState.SUCCEEDED)
        ),
        *log(other, StreamText(4, "d", "stdout", "c\n"), StreamText(3, "c", "stdout", "late\n")),
    )
    assert [(line.kind, line.text) for line in shown] == [
        (LineKind.HEADING, CELL.title),
        (LineKind.PRINTED, "a"),
        (LineKind.PRINTED, "b"),
        (LineKind.SUCCEEDED, f"[4] {CELL.title}"),
        (LineKind.HEADING, "Train"),
        (LineKind.PRINTED, "c"),
        (LineKind.HEADING, CELL.title),
        (LineKind.PRINTED, "late"),
    ]


@given(st.text(st.characters(exclude_categories=("C", "M", "Z")), min_size=1, max_size=300), st.integers(8, 60))
def test_a_wide_line_keeps_its_mark_and_loses_nothing(text: str, width: int) -> None:
    file = io.StringIO()
    view = RunView(Console(file=file, width=width, force_terminal=True, color_system=None, legacy_windows=False))
    view.feed(text_line(text))
    view.close()
    pieces = [line.partition("  │ ")[2] for line in file.getvalue().split("\n") if "  │ " in line]
    assert "".join(pieces) == text
    assert all(cell_len(piece) <= width - 4 for piece in pieces)


def test_places_are_links_where_the_terminal_takes_them() -> None:
    file = io.StringIO()
    view = RunView(Console(file=file, width=100, force_terminal=True, color_system="truecolor", legacy_windows=False))
    for line in log(finished(RunState.SUCCEEDED)):
        view.feed(line)
    view.close()
    assert f"{Path('out.ipynb').absolute().as_uri()}\x1b\\" in file.getvalue()


def test_a_line_printed_in_parts_is_put_together() -> None:
    lines = [text_line("sav", partial=True), text_line("ing", partial=True, continues=True)]
    assert applied(*lines, text_line(" done", continues=True)) == [Shown(LineKind.PRINTED, "saving done")]
    assert applied(*lines) == [Shown(LineKind.PRINTED, "saving")]
    assert applied(*lines, text_line("next")) == [Shown(LineKind.PRINTED, "saving"), Shown(LineKind.PRINTED, "next")]


def test_a_progress_bar_changes_in_place() -> None:
    progress = RunProgress(since=0.0)
    shown: list[Shown] = []
    for percent in (10, 50):
        shown += progress.apply(text_line(f"{percent}%", "stderr", progress=True), 0.0)
    assert shown == []
    assert progress.pending == ["50%"]
    assert list(progress.apply(text_line("100%", "stderr"), 0.0)) == [Shown(LineKind.PRINTED_STDERR, "100%")]
    assert progress.pending == []


def test_streams_do_not_disturb_each_other() -> None:
    shown = applied(text_line("sav", partial=True), text_line("warning", "stderr"), text_line("ing", continues=True))
    assert shown == [Shown(LineKind.PRINTED_STDERR, "warning"), Shown(LineKind.PRINTED, "saving")]


@given(st.binary(max_size=60))
def test_what_is_no_log_line_is_shown_readably(data: bytes) -> None:
    for shown in applied(data):
        assert not any(ord(char) < 0x20 and char != "\t" for char in shown.text)


def test_members_that_are_not_messages_cannot_control_the_terminal() -> None:
    result = finished(RunState.SUCCEEDED).result
    shown = screen(RunFinished(result=replace(result, output_uri="out\x1b]0;title\x07\u202e.ipynb")))
    assert "  notebook out\\x1b]0;title\\x07\\u202e.ipynb\n" in shown


def test_json_that_is_no_log_line_ends_nothing() -> None:
    for data in (b"[]", b"3", b'{"cell": 1}', b'{"event": "cell-finished"}', b'{"message": null}', b""):
        applied(data)


def test_a_successful_run_on_the_screen() -> None:
    shown = screen(
        STARTED,
        CELL,
        StreamText(3, "c", "stdout", "[red]3 rows[/red] :smile:\n"),
        ended(CellState.SUCCEEDED),
        Notice(message="slow disk", severity=Severity.WARNING),
        finished(RunState.SUCCEEDED),
    )
    for line in (
        f"▸ {CELL.title}\n  │ [red]3 rows[/red] :smile:\n✓ [4] {CELL.title}  1.50 s\n",
        "! slow disk\n",
        "✓ run succeeded in 62 s\n  notebook out.ipynb\n  page     out.html\n  log      out.log.jsonl\n",
    ):
        assert line in shown


def test_a_failed_run_ends_with_its_traceback_and_what_to_do() -> None:
    error = ErrorInfo(reference="cell-failed", message="cell 3 raised ValueError", hint="Look at it.", cell_index=3)
    shown = screen(STARTED, CELL, FAILURE, ended(CellState.FAILED), finished(RunState.FAILED, error), exit_code=10)
    end = (
        f"▸ [4] {CELL.title}\n  │ Traceback\n  │   at [1]\n"
        "✗ run failed in 62 s: cell 3 raised ValueError\n  Look at it.\n"
        "  notebook out.ipynb\n  page     out.html\n  log      out.log.jsonl\n"
    )
    assert shown.endswith(end)


def test_what_we_say_ourselves_is_broken_between_words() -> None:
    error = ErrorInfo(
        reference="out-of-memory",
        message="the kernel was killed because its container had no memory left for what the notebook asked of it",
        hint="Give the run more memory, or let the notebook read its data in parts; what had run by then is kept.",
    )
    assert screen(finished(RunState.FAILED, error), exit_code=10).endswith(
        "✗ run failed in 62 s: the kernel was killed because its container had no memory left for what the\n"
        "  notebook asked of it\n"
        "  Give the run more memory, or let the notebook read its data in parts; what had run by then is\n"
        "  kept.\n"
        "  notebook out.ipynb\n  page     out.html\n  log      out.log.jsonl\n"
    )


def test_an_output_that_was_not_written_is_not_named() -> None:
    result = replace(finished(RunState.FAILED).result, output_version=None, html_uri=None, log_uri=None)
    assert screen(RunFinished(result=result)).endswith("✗ run failed in 62 s\n")


def test_a_runner_without_a_verdict_is_no_success() -> None:
    shown = screen(STARTED, CELL, extra=b"Killed\x1b[31m\n", exit_code=137)
    assert "  │ Killed\\x1b[31m\n" in shown
    assert shown.endswith("✗ the runner ended without a verdict (exit code 137)\n")


def test_an_exit_code_that_contradicts_the_log_is_told() -> None:
    shown = screen(finished(RunState.SUCCEEDED), exit_code=75)
    assert "✗ run succeeded in 62 s; but the runner ended with exit code 75\n" in shown


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_terminal_that_cannot_say_it_gets_ascii() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    view = RunView(Console(file=file, width=100, force_terminal=True, color_system=None, legacy_windows=False))
    for line in log(STARTED, CELL, StreamText(3, "c", "stdout", "naïve\n"), ended(CellState.SUCCEEDED)):
        view.feed(line)
    view.close()
    shown = file.buffer.getvalue()
    assert b"  | na\\xefve\n" in shown
    assert b"+ [4] Load" in shown


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_stopped_terminal_stops_nobody() -> None:
    master, slave = pty.openpty()
    terminal = os.fdopen(slave, "w")
    view = RunView(Console(file=terminal, width=100, force_terminal=True))
    for number in range(MAX_WAITING + 1000):  # more than a terminal that takes nothing is kept waiting for
        view.feed(text_line(f"line {number}"))
    view.close(0.5)
    os.close(master)  # lets the blocked thread go


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.254, "0.25 s"), (59.4, "59 s"), (185, "3 min 5 s"), (7261, "2 h 1 min")]
)
def test_durations_are_for_people(seconds: float, said: str) -> None:
    assert duration(seconds, 2) == said
