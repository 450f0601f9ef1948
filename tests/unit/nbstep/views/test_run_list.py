from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from nbstep.views.run_list import PLAIN_HEADS, plain_row, run_list
from nbstep_runner.contract import ErrorInfo, Progress, RunResult, RunState

NOW = datetime(2026, 1, 2, 12, 0, 30, tzinfo=UTC)
ERROR = ErrorInfo(reference="cell-failed", message="cell 3 raised ValueError: \x1b[2Jno data")


def record(run_id: str, state: RunState, **members: Any) -> RunResult:
    return RunResult(
        run_id=run_id, attempt=1, spec_digest="", state=state, input_uri="", output_uri="",
        started_at="2026-01-02T12:00:00+00:00", parameters={"rate": 0.1}, **members,
    )  # fmt: skip


RECORDS = [
    record("train-3", RunState.RUNNING, progress=Progress(ended=3, cells=12)),
    record("train-2", RunState.FAILED, seconds=2.5, error=ERROR),
    record("train-1", RunState.SUCCEEDED, seconds=185, results={"rmse": 0.29}),
]


def shown(width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(run_list(RECORDS, width, NOW))
    return file.getvalue()


@pytest.mark.parametrize(
    ("width", "there", "not_there"),
    [
        (80, ["rmse=0.29"], ["rate", "2026"]),
        (100, ["rmse=0.29", "2026-01-02 12:00"], ["rate"]),
        (180, ["rmse=0.29", "2026-01-02 12:00", "rate=0.1"], []),
    ],
)
def test_a_terminal_shows_as_much_as_it_has_room_for(width: int, there: list[str], not_there: list[str]) -> None:
    text = shown(width)
    for part in (
        "train-3",
        "running",
        "30 s, 3 of 12 cells",
        "train-2",
        "failed",
        "cell 3 raised",
        "train-1",
        "3 min 5 s",
        *there,
    ):
        assert part in text
    assert not [part for part in not_there if part in text]
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_long_id_takes_no_column_from_the_others(width: int) -> None:
    """As ids are that nbstep makes; where there is no room for one it goes on in the next line, whole."""
    run_id = "a-notebook-with-a-long-name-20260102-120001-0c2e8a"
    records = [
        record(run_id, RunState.SUCCEEDED, seconds=61, results={"rmse": 0.29, "text": "x" * 100}),
        record("other", RunState.RUNNING, progress=Progress(ended=3, cells=12)),
    ]
    file = io.StringIO()
    Console(file=file, width=width).print(run_list(records, width, NOW))
    head, *lines = file.getvalue().splitlines()
    assert [each for each in head.split() if each not in ("STARTED", "PARAMETERS")] == [
        "RUN",
        "STATE",
        "TIME",
        "RESULTS",
    ]
    assert "".join(line.split("  ")[0].strip() for line in lines[:-1]) == run_id
    text = "\n".join(lines)
    for part in ("succeeded", "running", "1 min 1 s", "30 s", "rmse=0.29"):
        assert part in text
    assert max(map(len, (head, *lines))) <= width


def test_a_pipe_gets_every_column() -> None:
    rows = [dict(zip(PLAIN_HEADS, plain_row(each, NOW), strict=True)) for each in RECORDS]
    assert [(row["SECONDS"], row["CELLS"]) for row in rows] == [("30.0", "3/12"), ("2.5", ""), ("185.0", "")]
    assert [row["PARAMETERS"] for row in rows] == ["rate=0.1"] * 3
    assert rows[2]["RESULTS"] == "rmse=0.29"
