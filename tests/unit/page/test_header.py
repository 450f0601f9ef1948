"""What the page of a run says of it, above the notebook."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

from nbstep_runner.contract import CellRecord, CellState, CollectedFile, Continuation, Environment, ErrorInfo, RunState
from nbstep_runner.page.header import MOST_BARS, MOST_FILES, header
from support.records import run_record

HOSTILE = '<script>alert("x")</script>'


def cell(index: int, state: CellState = CellState.SUCCEEDED, seconds: float | None = 1.0) -> CellRecord:
    return CellRecord(
        index=index, id=f"id{index}", state=state, title=f"Step {index}", execution_count=index, seconds=seconds
    )


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_the_verdict_stands_first_then_what_went_in_and_came_out() -> None:
    record = run_record(
        input_uri="gs://bucket/train.ipynb", seconds=31.24, started_at="2026-01-02T03:04:05.678+00:00", exit_code=0,
        parameters={"rate": 0.1}, results={"rmse": float("nan")}, labels={"team": "a"}, warnings=("the log is short",),
        environment=Environment(python="3.11.7", nbstep="1.0", platform="Linux", kernel="python3", image="img:1"),
    )  # fmt: skip
    text = words(header(record))
    assert text.startswith("succeeded train.ipynb in 31 s the log is short Parameters rate 0.1 Results rmse nan Run")
    assert "notebook gs://bucket/train.ipynb run r started 2026-01-02 03:04:05 UTC exit code 0 team a" in text
    assert text.endswith("Environment Python 3.11.7 , nbstep 1.0 , kernel python3 , image img:1 , on Linux")


def test_what_a_run_went_on_from_is_among_its_facts() -> None:
    came_from = Continuation(generation=3, run_id="r", attempt=1, saved_at="2026-01-02T03:04:05+00:00")
    record = run_record(attempt=2, continued_from=came_from, state_generation=5)
    text = words(header(record))
    assert "attempt 2 went on from generation 3 of the state, saved by attempt 1 state saved generation 5" in text
    other = words(header(run_record(continued_from=replace(came_from, run_id="earlier"))))
    assert "generation 3 of the state, saved by attempt 1 of earlier" in other


def test_files_that_came_back_are_linked_where_they_lie() -> None:
    files = [CollectedFile(path=f"model/{number} #1.csv", size=12_345, checksum="") for number in range(MOST_FILES + 2)]
    html = header(run_record(output_uri="gs://bucket/out.ipynb", files=tuple(files)))
    assert '<a href="./out.files/model/0%20%25231.csv">model/0 #1.csv</a></dt><dd>12,345 bytes</dd>' in html
    assert html.count('<a href="./out.files/') == MOST_FILES
    assert "and 2 more" in words(html)
    assert "Files" not in header(run_record())


def test_a_cell_has_a_bar_as_long_as_it_took() -> None:
    cells = (cell(1, seconds=4), cell(2, seconds=1), cell(3, CellState.NOT_RUN, seconds=None))
    html = header(run_record(cells=cells))
    assert re.findall(r"width:([\d.]+)%", html) == ["100.0", "25.0"]
    assert words(html).endswith("2 of 3 cells succeeded [1] Step 1 4.00 s [2] Step 2 1.00 s [3] Step 3 not run")


def test_the_failing_cell_is_a_click_away() -> None:
    error = ErrorInfo(reference="cell-failed", message="cell 2 raised E: no", hint="Open the notebook.", cell_index=2)
    record = run_record(RunState.FAILED, cells=(cell(1), cell(2, CellState.FAILED)), error=error)
    html = header(record)
    assert '<a href="#cell-id=id2">Go to the cell that failed: [2] Step 2</a>' in html
    assert "cell 2 raised E: no" in html
    assert "Open the notebook." not in html, "the reader is there"


def test_a_fault_without_a_cell_says_what_to_do() -> None:
    error = ErrorInfo(reference="terminated", message="the run was stopped by SIGTERM", hint="Run it again.")
    text = words(header(run_record(RunState.CANCELLED, error=error)))
    assert "cancelled in.ipynb the run was stopped by SIGTERM Run it again." in text


def test_a_cell_that_is_not_on_the_page_is_no_link() -> None:
    left_out = CellRecord(index=0, id=None, state=CellState.SUCCEEDED, title="Hidden", seconds=1)
    html = header(run_record(cells=(left_out,)))
    assert "[ ] Hidden" in html
    assert "<a " not in html


def test_what_a_notebook_says_of_itself_is_text() -> None:
    hostile = CellRecord(index=0, id='"><b>', state=CellState.FAILED, title=HOSTILE)
    error = ErrorInfo(reference="cell-failed", message=HOSTILE, cell_index=0)
    record = run_record(
        RunState.FAILED, input_uri=HOSTILE, cells=(hostile,), error=error, parameters={HOSTILE: HOSTILE},
        results={HOSTILE: [HOSTILE]}, labels={HOSTILE: HOSTILE}, warnings=(HOSTILE,),
        environment=Environment(python=HOSTILE, nbstep="", platform=HOSTILE, packages={HOSTILE: HOSTILE}),
    )  # fmt: skip
    html = header(record)
    assert "<script" not in html
    assert "<b>" not in html


def test_of_very_many_cells_the_slowest_are_shown_and_the_failed_one() -> None:
    cells = [cell(index, seconds=index) for index in range(1, 2 * MOST_BARS)]
    cells[3] = cell(4, CellState.FAILED, seconds=0)
    html = header(run_record(RunState.FAILED, cells=tuple(cells)))
    assert html.count("<li") == MOST_BARS
    assert "[4] Step 4" in html
    assert f"Here are the {MOST_BARS} that took longest." in html
    assert len(html) < 200_000
