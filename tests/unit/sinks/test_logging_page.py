"""``docs/logging.md`` describes the members that lines really have."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import msgspec

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
from nbstep_runner.sinks import LogFormat, LogSink
from nbstep_runner.sinks.json_lines import JsonLines
from nbstep_runner.sinks.lines import Block, Source
from support.records import run_record

PAGE = (Path(__file__).parents[3] / "docs/logging.md").read_text()
ERROR = ErrorInfo(reference="cell-failed", message="cell 0 raised", attached=())
EVENTS: tuple[Event, ...] = (
    RunStarted(run_id="r", attempt=1, input_uri="i", output_uri="o", kernel="k", code_cells=1),
    CellStarted(index=0, id=None, title="t"),
    OutputEmitted(index=0, id=None, output={"output_type": "display_data", "data": {}}, dropped=True),
    OutputEmitted(index=0, id=None, output={"output_type": "error", "ename": "E", "evalue": "", "traceback": ["t"]}),
    CellFinished(record=CellRecord(index=0, id=None, state=CellState.FAILED)),
    Notice(message="m", fields={"a": 1}),
    RunFinished(result=run_record(state=RunState.FAILED, output_uri="o", error=ERROR)),
)


def table(heading: str) -> list[tuple[str, str]]:
    """The rows of the table whose head begins so."""
    lines = PAGE.split(f"\n| {heading} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [(cells[0], cells[1]) for line in lines if len(cells := line.strip("| ").split(" | ", 1)) == 2]


def names(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def lines(*events: Event) -> list[dict[str, Any]]:
    stream = io.BytesIO()
    sink = LogSink("r", 1, path=None, stream=stream, format=LogFormat.JSON)
    for event in events:
        sink.handle(event)
    sink.close(10)
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


COMMON = {name for column, _ in table("member") for name in names(column)}


def test_members_of_every_line() -> None:
    (line,) = lines(Notice(message="m"))
    assert set(line) == COMMON | {"event"}
    documented = names(dict(table("member"))["`severity`"])
    assert documented >= set(Severity)


def test_members_of_printed_text() -> None:
    rows = PAGE.split("A line of printed text", 1)[1].split("Any other line", 1)[0]
    documented = {name for row in re.findall(r"^\| `.+? \|", rows, re.MULTILINE) for name in names(row)}
    everything = Block("x", partial=True, continues=True, progress=True)
    line = msgspec.json.decode(JsonLines("r", 1).text(everything, Source((0, None), "stdout"), 1, 0.0))
    assert set(line) == COMMON | documented
    (plain,) = lines(StreamText(0, None, "stdout", "x\n"))
    assert set(line) - set(plain) == {"partial", "continues", "progress"}


def test_members_of_each_event() -> None:
    documented = {event.strip("`"): names(members) for event, members in table("`event`")}
    found: dict[str, set[str]] = {}
    for line in lines(*EVENTS):
        found.setdefault(line["event"], set()).update(set(line) - COMMON - {"event"})
    assert found == documented


def test_members_of_an_error() -> None:
    (line,) = lines(EVENTS[-1])
    sentence = PAGE.split("`error` is", 1)[1].split("attached`", 1)[0] + "attached`"
    assert set(line["error"]) == names(sentence) - {"null"}
