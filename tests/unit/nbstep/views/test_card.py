from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nbstep.views.card import LARGEST, CardData, card
from nbstep.views.progress import RunningCell
from nbstep.views.status import RunStatus
from nbstep_runner.contract import CellRecord, CellState, CollectedFile, Continuation, ErrorInfo, RunState
from support.records import run_record

FAILED = CellRecord(index=3, id="c", state=CellState.FAILED, title="fit(model)", execution_count=2)


def data(state: RunState, **more: Any) -> CardData:
    record = run_record(run_id="train-1", state=state, output_uri="r/output.ipynb", **{"cells": (FAILED,), **more})
    status = RunStatus(state=state, words="waits for a node", record=record)
    return CardData(run_id="train-1", handle="local://train-1", output_uri="r/output.ipynb", status=status)


class Page(HTMLParser):
    """What a browser would make of it: tags, attributes, and the text outside of the style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.text += data


def test_a_run_under_way_shows_how_far_it_is() -> None:
    running = CardData(
        run_id="train-1",
        handle="local://train-1",
        output_uri="r/output.ipynb",
        status=RunStatus(state=RunState.RUNNING),
        running=RunningCell(3, "Train", 0.0),
        done=3,
        cells=7,
        elapsed=12.0,
        expected=30.0,
        lines=["epoch 1", "epoch 2"],
    )
    page = Page(card(running))
    for text in ("running", "train-1", "12 s, 30 s the last time", "3 of 7 cells", "[*] Train", "epoch 2"):
        assert text in page.text
    assert page.attributes["value"] == ["3"]
    assert page.attributes["aria-label"] == ["Run train-1", "3 of 7 cells"]


def test_a_failure_shows_its_cell_its_traceback_and_what_to_do() -> None:
    error = ErrorInfo(reference="cell-failed", message="it raised", hint="Look.", cell_index=3, traceback=("a", "b"))
    page = Page(card(data(RunState.FAILED, error=error, seconds=1.5, output_version="7")))
    for text in ("failed", "[2] fit(model)", "it raised", "Look.", "a\nb", "1.50 s", "0 of 1 cells succeeded"):
        assert text in page.text
    assert page.attributes["href"] == ["r/output.ipynb"]


def test_what_a_run_went_on_from_is_said() -> None:
    came_from = Continuation(generation=3, run_id="<b>", attempt=1, saved_at="2026-01-02T03:04:05+00:00")
    html = card(data(RunState.RUNNING, attempt=2, continued_from=came_from))
    assert "Attempt 2, went on from generation 3 of the state, saved by attempt 1 of <b>" in Page(html).text
    assert "<b>" not in html.partition("generation 3")[2]


def test_results_and_parameters_stand_by_their_names() -> None:
    page = Page(card(data(RunState.SUCCEEDED, parameters={"rate": 0.1}, results={"rmse": 0.29, "who": "me"})))
    for text in ("Parameters", "rate", "0.1", "Results", "rmse", "0.29", "me"):
        assert text in page.text


TEXT = st.text(max_size=3000)


@given(st.sampled_from(RunState), TEXT, TEXT, st.lists(TEXT, max_size=60), st.dictionaries(TEXT, TEXT, max_size=40))
def test_a_card_is_small_and_nothing_that_a_run_says_is_markup(
    state: RunState, title: str, message: str, lines: list[str], values: dict[str, str]
) -> None:
    hostile = f"<script>x()</script><img src=x onerror=x()>{message}"
    error = ErrorInfo(reference="r", message=hostile, hint=hostile, cell_index=0, traceback=(*lines, hostile))
    told = data(
        state,
        error=error,
        cells=(CellRecord(index=0, id=None, state=CellState.FAILED, title=f"<b>{title}"),),
        parameters={**values, "<script>": hostile},
        results={hostile: values},
    )
    html = card(
        CardData(run_id=hostile, handle=hostile, output_uri=hostile, status=told.status, lines=[*lines, hostile])
    )
    page = Page(html)
    assert len(html.encode()) <= LARGEST
    assert not {"script", "img", "iframe", "object"}.intersection(page.tags)
    assert not any(name.startswith("on") for name in page.attributes)


def test_collected_files_are_linked_and_the_rest_is_counted() -> None:
    files = tuple(CollectedFile(path=f"<{number}>.csv", size=1, checksum="") for number in range(8))
    page = Page(card(data(RunState.SUCCEEDED, files=files, exit_code=0)))
    assert "<0>.csv · <1>.csv" in page.text
    assert "and 2 more files" in page.text
    assert [link for link in page.attributes["href"] if "output.files/" in link]
