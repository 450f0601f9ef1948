from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from nbstep.views.comparison import Line, compared, comparison_table, csv_of
from nbstep_runner.contract import RunResult, RunState


def record(run_id: str, seconds: float, **members: Any) -> RunResult:
    return RunResult(
        run_id=run_id, attempt=1, spec_digest="", state=RunState.SUCCEEDED, input_uri="", output_uri="",
        seconds=seconds, **members,
    )  # fmt: skip


RUNS = [
    record("a", 1.5, parameters={"rate": 0.1, "n": 1}, results={"rmse": 0.3}),
    record("b", 1.5, parameters={"rate": 0.2, "n": 1}, results={"rmse": 0.3, "note": "one, two"}),
]


def test_what_differs_is_marked() -> None:
    lines = compared(RUNS)
    assert [(line.name, line.differs) for line in lines] == [
        ("run", True), ("state", False), ("seconds", False), ("parameters.rate", True), ("parameters.n", False),
        ("results.rmse", False), ("results.note", True),
    ]  # fmt: skip
    assert lines[-1].values == (None, "one, two")
    assert lines[-1].texts == ("", "one, two")


def test_a_number_and_a_truth_value_are_not_the_same() -> None:
    assert Line("n", (1, True)).differs
    assert not Line("n", (1, 1)).differs


def test_a_comparison_as_csv() -> None:
    assert csv_of(compared(RUNS)).splitlines()[-1] == 'results.note,,"one, two"'


def test_a_comparison_stays_within_a_narrow_terminal_and_loses_nothing() -> None:
    names = [f"train-20260102-12000{number}-0c2e8a" for number in range(4)]
    runs = [record(name, 1.5, results={"rmse": 0.123456789 + index}) for index, name in enumerate(names)]
    lines = compared(runs)
    file = io.StringIO()
    Console(file=file, width=80).print(comparison_table(lines))
    shown = [line.rstrip() for line in file.getvalue().splitlines()]
    assert max(map(len, shown)) <= 80
    assert [line.split()[:2] for line in shown if line.startswith("*")] == [["*", "results.rmse"]]
    printed = "".join("".join(line.split()) for line in shown)
    head, *rest = lines
    texts = [*head.texts, *(text for line in rest for text in ("*" * line.differs, line.name, *line.texts))]
    assert sorted(printed) == sorted("".join(texts))  # broken at the ends of columns, but all there
