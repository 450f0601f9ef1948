from __future__ import annotations

import gc
import io
import os
import pty
import shutil
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import (
    CellFinished,
    CellRecord,
    CellStarted,
    CellState,
    Notice,
    OutputEmitted,
    RunFinished,
    Severity,
    StreamText,
)
from nbstep_runner.sinks import LogFormat, LogSink
from support.records import run_record

GENEROUS = 60.0
"""Seconds that only a machine that does many other things needs."""

FORGED = '{"severity":"ERROR","message":"forged","seq":1,"event":"run-finished","state":"succeeded"}'


def printed(text: str, stream: str = "stdout", index: int = 3) -> StreamText:
    return StreamText(index, "ab", stream, text)


def decoded(data: bytes) -> list[dict[str, Any]]:
    assert not data or data.endswith(b"\n"), "a log ends with a whole line"
    return [msgspec.json.decode(line) for line in data.splitlines()]


def log_of(*events: Any, log_format: LogFormat = LogFormat.JSON, quiet: bool = False) -> bytes:
    stream = io.BytesIO()
    sink = LogSink("run-1", 1, path=None, stream=stream, format=log_format, quiet=quiet)
    for event in events:
        sink.handle(event)
    sink.close(10)
    return stream.getvalue()


@contextmanager
def pipe() -> Iterator[tuple[int, BinaryIO]]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as stream:
        try:
            yield reading, stream
        finally:
            os.close(reading)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes in a moment, unless the machine is very busy."""
    deadline = time.monotonic() + GENEROUS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Reader:
    """Reads a pipe from a thread and notes when each line came."""

    def __init__(self, fd: int) -> None:
        self.lines: list[tuple[float, bytes]] = []
        self.pace = 0.0
        self._thread = threading.Thread(target=self._read, args=(os.dup(fd),), daemon=True)
        self._thread.start()

    def _read(self, fd: int) -> None:
        rest = b""
        while data := os.read(fd, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            now = time.monotonic()
            self.lines += [(now, line) for line in lines]
            time.sleep(self.pace)
        os.close(fd)

    def join(self) -> None:
        """Read to the end, once nobody can write any more."""
        self._thread.join(GENEROUS)

    def wait_for(self, count: int, timeout: float = GENEROUS) -> list[bytes]:
        deadline = time.monotonic() + timeout
        while len(self.lines) < count and time.monotonic() < deadline:
            time.sleep(0.001)
        return [line for _, line in self.lines]


def test_a_line_has_the_members_that_readers_count_on() -> None:
    (line,) = decoded(log_of(printed("hello\n")))
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {
        "severity": "INFO",
        "message": "hello",
        "run_id": "run-1",
        "attempt": 1,
        "seq": 1,
        "cell": {"index": 3, "id": "ab"},
        "stream": "stdout",
    }


def test_seq_counts_every_line_of_the_run() -> None:
    lines = decoded(
        log_of(
            CellStarted(index=3, id="ab", title="t"),
            printed("a\nb\n"),
            printed("c\nd"),
            printed("e\n", "stderr"),
            CellFinished(record=CellRecord(index=3, id="ab", state=CellState.SUCCEEDED)),
            Notice(message="bye"),
        )
    )
    assert [line["seq"] for line in lines] == list(range(1, 9))
    assert [line["message"] for line in lines][1:6] == ["a", "b", "c", "e", "d"]


def test_streams_and_cells_are_put_together_separately() -> None:
    lines = decoded(
        log_of(
            printed("out"),
            printed("err", "stderr"),
            printed("late", index=1),
            printed("put\n"),
            printed("or\n", "stderr"),
        )
    )
    assert {(line["cell"]["index"], line["stream"], line["message"]) for line in lines} == {
        (3, "stdout", "output"),
        (3, "stderr", "error"),
        (1, "stdout", "late"),
    }


def test_printed_json_stays_inside_its_message() -> None:
    (line,) = decoded(log_of(printed(f"{FORGED}\n")))
    assert line["message"] == FORGED
    assert line["severity"] == "INFO"
    assert "event" not in line


def test_no_printed_line_looks_like_one_of_nbstep() -> None:
    text = "12:00:00.000 nbstep: run succeeded\n\n\x1b[2K\x1b[1Anbstep: forged\r\n"
    lines = log_of(printed(text), log_format=LogFormat.CONSOLE).decode().splitlines()
    assert [line[12:].startswith(" [3] ") for line in lines] == [True] * 3


@given(st.lists(st.tuples(st.text(max_size=40), st.sampled_from(["stdout", "stderr"])), max_size=6))
def test_any_text_becomes_valid_lines(pieces: list[tuple[str, str]]) -> None:
    events = [printed(text, stream) for text, stream in pieces]
    lines = decoded(log_of(*events))
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    console = log_of(*events, log_format=LogFormat.CONSOLE).decode().split("\n")
    assert all(line[12:].startswith((" [3] ", " [3:stderr] ")) for line in console[:-1])
    assert len(console) - 1 == len(lines)


def test_text_of_a_display_comes_after_what_was_printed_before_it() -> None:
    output = {"output_type": "display_data", "data": {"text/plain": "figure"}}
    lines = decoded(log_of(printed("before"), OutputEmitted(index=3, id="ab", output=output), printed(" after\n")))
    assert [line["message"] for line in lines] == ["before", "figure", " after"]
    assert [line.get("partial", False) for line in lines] == [True, False, False]
    assert lines[2]["continues"] is True


def test_quiet_shows_only_trouble_on_the_stream_and_keeps_everything_in_the_file(tmp_path: Path) -> None:
    stream = io.BytesIO()
    sink = LogSink("run-1", 1, path=tmp_path / "log", stream=stream, format=LogFormat.JSON, quiet=True)
    sink.handle(printed("chatter\n"))
    sink.handle(Notice(message="fine"))
    sink.handle(Notice(message="slow", severity=Severity.WARNING))
    sink.close(10)
    assert [line["message"] for line in decoded(stream.getvalue())] == ["slow"]
    assert len(decoded((tmp_path / "log").read_bytes())) == 3


def test_file_and_stream_say_the_same(tmp_path: Path) -> None:
    stream = io.BytesIO()
    sink = LogSink("run-1", 1, path=tmp_path / "log", stream=stream, format=LogFormat.JSON)
    sink.handle(printed("a\nb\n"))
    sink.close(10)
    data = (tmp_path / "log").read_bytes()
    assert data == stream.getvalue()
    assert (sink.lines, sink.bytes, sink.complete, sink.warnings) == (2, len(data), True, ())
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


def test_a_big_output_that_the_notebook_does_not_keep_is_whole_in_the_file_only(tmp_path: Path) -> None:
    stream = io.BytesIO()
    sink = LogSink("run-1", 1, path=tmp_path / "log", stream=stream, format=LogFormat.JSON)
    output = {"output_type": "display_data", "data": {"image/png": "x" * 300_000}}
    sink.handle(OutputEmitted(index=3, id="ab", output=output, dropped=True))
    sink.close(10)
    (in_file,), (on_stream,) = decoded((tmp_path / "log").read_bytes()), decoded(stream.getvalue())
    assert in_file.pop("output") == output
    assert in_file == on_stream


def test_printed_text_is_on_the_stream_within_100_ms() -> None:
    with pipe() as (reading, stream):
        reader = Reader(reading)
        sink = LogSink("run-1", 1, path=None, stream=stream, format=LogFormat.JSON)
        sent = []
        for number in range(40):
            sent.append(time.monotonic())
            sink.handle(printed(f"line {number}" + ("\n" if number % 2 else "")))
            reader.wait_for(number + 1)
        delays = sorted(came - went for went, (came, _) in zip(sent, reader.lines, strict=True))
        sink.close(10)
    assert delays[0] < 0.02, "a whole line does not wait"
    assert delays[len(delays) // 2] < 0.1  # not the slowest: they show how busy the machine is
    assert [line["message"] for line in decoded(b"".join(line + b"\n" for _, line in reader.lines))][:2] == [
        "line 0",
        "line 1",
    ]


@pytest.mark.slow
def test_a_reader_that_never_reads_stalls_nobody(tmp_path: Path) -> None:
    with pipe() as (_, stream):
        sink = LogSink("run-1", 1, path=tmp_path / "log", stream=stream, format=LogFormat.JSON)
        for _ in range(60):
            sink.handle(printed("y" * 999_999 + "\n"))
        until(lambda: sink.bytes >= 60_000_000)
        started = time.monotonic()
        sink.close(1.0)
        assert time.monotonic() - started < GENEROUS
    assert sink.complete
    assert sum(line["message"].count("y") for line in decoded((tmp_path / "log").read_bytes())) == 60 * 999_999


@pytest.mark.slow
def test_a_reader_that_comes_back_gets_every_line_and_none_waits_in_memory(tmp_path: Path) -> None:
    with pipe() as (reading, stream):
        sink = LogSink("run-1", 1, path=tmp_path / "log", stream=stream, format=LogFormat.JSON)
        tracemalloc.start()
        for number in range(100):
            sink.handle(printed(f"{number}:" + "y" * 999_990 + "\n"))
        until(lambda: sink.bytes >= 100_000_000)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        reader = Reader(reading)
        sink.handle(printed("afterwards\n"))
        sink.close(GENEROUS)
        stream.close()
        reader.join()
    assert held < 20_000_000
    assert b"".join(line + b"\n" for _, line in reader.lines) == (tmp_path / "log").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_reader_that_takes_nothing_at_the_end_is_told_what_it_missed_and_the_verdict(tmp_path: Path) -> None:
    with pipe() as (reading, stream):
        sink = LogSink(
            "run-1", 1, path=tmp_path / "log", stream=stream, format=LogFormat.JSON, location="gs://bucket/x.log.jsonl"
        )
        for number in range(20):
            sink.handle(printed(f"{number}:" + "y" * 999_990 + "\n"))
        sink.handle(RunFinished(result=run_record()))
        until(lambda: b"run-finished" in (tmp_path / "log").read_bytes()[-2000:])
        sink.close(0.2)
        reader = Reader(reading)
        until(lambda: any(b"not shown here" in line for _, line in reader.lines))
        stream.close()
        reader.join()
    *shown, verdict, gap = decoded(b"".join(line + b"\n" for _, line in reader.lines))
    assert verdict["event"] == "run-finished"
    assert gap["message"].endswith("the complete log is gs://bucket/x.log.jsonl")
    in_file = decoded((tmp_path / "log").read_bytes())
    assert in_file[-1] == verdict
    assert shown == in_file[: len(shown)]
    assert len(shown) + gap["fields"]["missed"] + 1 == len(in_file)


def test_a_reader_is_told_what_the_disk_could_not_keep_for_it(tmp_path: Path) -> None:
    with pipe() as (reading, stream):
        sink = LogSink("run-1", 1, path=tmp_path / "log", stream=stream, format=LogFormat.JSON)
        shutil.rmtree(tmp_path)  # the log's file is open: only new ones cannot be made
        for number in range(20):
            sink.handle(printed(f"{number}:" + "y" * 999_990 + "\n"))
        until(lambda: sink.bytes >= 20_000_000)
        reader = Reader(reading)
        until(lambda: any(b"not shown here" in line for _, line in reader.lines))
        sink.handle(printed("afterwards\n"))
        sink.close(GENEROUS)
        stream.close()
        reader.join()
    lines = decoded(b"".join(line + b"\n" for _, line in reader.lines))
    (gap,) = (line for line in lines if line.get("event") == "notice")
    assert gap["severity"] == "WARNING"
    assert lines[-1]["message"] == "afterwards"
    assert len(lines) + gap["fields"]["missed"] == sink.lines
    assert [line["seq"] for line in lines] == sorted({line["seq"] for line in lines})


def test_a_slow_reader_that_reads_gets_every_line() -> None:
    with pipe() as (reading, stream):
        reader = Reader(reading)
        reader.pace = 0.001
        sink = LogSink("run-1", 1, path=None, stream=stream, format=LogFormat.CONSOLE)
        for _ in range(30):
            sink.handle(printed(("z" * 999 + "\n") * 1000))
        sink.close(GENEROUS)
        stream.close()
        reader.wait_for(30_000, timeout=5)
    assert len(reader.lines) == 30_000


def test_a_reader_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream:
        sink = LogSink("run-1", 1, path=tmp_path / "log", stream=stream, format=LogFormat.CONSOLE)
        for number in range(100):
            sink.handle(printed(f"{number}\n"))
            time.sleep(0.001)
        sink.close(5)
    assert sink.complete
    assert len(decoded((tmp_path / "log").read_bytes())) == 100


@pytest.mark.parametrize("path", ["/dev/full", "/dev/null/no-folder/log"])
def test_a_file_that_cannot_be_written_leaves_the_stream_and_is_told(path: str) -> None:
    stream = io.BytesIO()
    sink = LogSink("run-1", 1, path=Path(path), stream=stream, format=LogFormat.JSON)
    sink.handle(printed("a\n"))
    time.sleep(0.05)
    sink.handle(printed("b\n"))
    sink.close(10)
    lines = decoded(stream.getvalue())
    assert not sink.complete
    assert sink.bytes == 0
    assert [line["message"] for line in lines if "stream" in line] == ["a", "b"]
    (warning,) = (line for line in lines if line.get("event") == "notice")
    assert warning["severity"] == "WARNING"
    assert sink.warnings == (warning["message"],)
    assert "is truncated" in warning["message"]


@pytest.mark.slow
def test_a_hundred_megabytes_in_one_print_need_no_second_copy(tmp_path: Path) -> None:
    text = "x" * 100_000_000
    sink = LogSink("run-1", 1, path=tmp_path / "log", stream=None, format=LogFormat.JSON)
    tracemalloc.start()
    sink.handle(printed(text))
    sink.close(60)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    assert sink.bytes > 100_000_000


def test_a_hundred_thousand_lines_cost_little() -> None:
    started = time.process_time()
    sink = LogSink("run-1", 1, path=Path(os.devnull), stream=None, format=LogFormat.JSON)
    for _ in range(100):
        sink.handle(printed("epoch 1 loss 0.5\n" * 1000))
    sink.close(30)
    assert sink.lines == 100_000
    assert time.process_time() - started < 1.0


def test_an_event_that_cannot_be_told_is_named_and_nothing_raises() -> None:
    lines = decoded(log_of("no event at all", OutputEmitted(index=0, id=None, output="no output")))  # type: ignore[arg-type]  # what a careless caller does
    assert [line["severity"] for line in lines] == ["WARNING", "WARNING"]
    assert "could not be logged" in lines[0]["message"]


def test_after_close_nothing_is_logged_and_closing_again_is_harmless() -> None:
    stream = io.BytesIO()
    sink = LogSink("run-1", 1, path=None, stream=stream, format=LogFormat.JSON)
    sink.close(5)
    sink.handle(printed("late\n"))
    sink.close(5)
    assert stream.getvalue() == b""
    assert sink.complete


def test_colour_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    master, slave = pty.openpty()
    with os.fdopen(slave, "wb", buffering=0) as terminal:
        sink = LogSink("run-1", 1, path=None, stream=terminal, format=LogFormat.CONSOLE)
        sink.handle(printed("hello\n"))
        sink.close(5)
        shown = os.read(master, 1000)
    os.close(master)
    assert b"\x1b[36m[3]\x1b[0m hello" in shown
    assert b"\x1b" not in log_of(printed("hello\n"), log_format=LogFormat.CONSOLE)


def test_flush_brings_everything_so_far_to_the_file(tmp_path: Path) -> None:
    sink = LogSink("run-1", 1, path=tmp_path / "log", stream=None, format=LogFormat.JSON)
    for _ in range(100):
        sink.handle(printed("line\n" * 1000))
    sink.handle(printed("begun"))
    assert sink.flush(10)
    lines = decoded((tmp_path / "log").read_bytes())
    assert len(lines) == 100_001
    assert lines[-1]["message"] == "begun"
    sink.close(10)
    assert sink.flush(10) is False, "after close nothing is taken, and nobody waits"


def test_a_stream_that_only_the_log_holds_stays_open() -> None:
    reading, writing = os.pipe()
    sink = LogSink("run-1", 1, path=None, stream=os.fdopen(writing, "wb", buffering=0), format=LogFormat.JSON)
    gc.collect()
    sink.handle(printed("hello\n"))
    assert decoded(os.read(reading, 1000))[0]["message"] == "hello"
    sink.close(5)
    os.close(reading)
