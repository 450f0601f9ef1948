from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nbstep_runner.contract import Event, OutputEmitted, OutputLimits, StreamText
from nbstep_runner.engine import metadata, recorder
from nbstep_runner.engine.document import Document
from nbstep_runner.engine.messages import LONGEST_TEXT
from nbstep_runner.engine.outputs import OutputBudget
from nbstep_runner.engine.recorder import REOPENED_AT_ONCE, Recorder
from nbstep_runner.engine.widgets import OUTPUT_MODEL, STATE_MIME
from nbstep_runner.kernel.kernel_json import TOO_DEEP
from nbstep_runner.kernel.wire import Message
from nbstep_runner.masking import Masker
from support.notebooks import notebook


class Desk:
    """A recorder with a notebook of some cells, and what it told."""

    def __init__(self, folder: Path, cells: int = 3, secrets: tuple[str, ...] = (), limit: int = 2**20) -> None:
        plain = notebook(["pass"] * cells)
        metadata.begin_notebook(plain)
        self.document = Document(plain, folder)
        self.told: list[Event] = []
        limits = OutputLimits(cell_bytes=limit, notebook_bytes=2**20)
        budget = OutputBudget(limits, "the log")
        self.recorder = Recorder(self.document, budget, Masker(secrets), self.told.append)

    def say(self, kind: str, parent: str, **content: Any) -> None:
        self.recorder.handle(Message(type=kind, parent_id=parent, content=content))

    def outputs(self, index: int) -> list[dict[str, Any]]:
        self.recorder.settle()
        outputs: list[dict[str, Any]] = self.document.reopen(index)["outputs"]
        return outputs

    def texts(self, index: int) -> str:
        return "".join("".join(output.get("text", "")) for output in self.outputs(index))


def test_output_goes_to_the_cell_that_its_message_names(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.recorder.begin(0, "r0")
    desk.say("stream", "r0", name="stdout", text="in time\n")
    desk.recorder.end(0)
    desk.recorder.begin(1, "r1")
    desk.say("stream", "r0", name="stdout", text="late\n")
    desk.say("stream", "r1", name="stdout", text="second\n")
    desk.recorder.end(1)
    desk.say("stream", "r0", name="stdout", text="very late\n")
    assert desk.texts(0) == "in time\nlate\nvery late\n"
    assert desk.texts(1) == "second\n"
    assert [(event.index, event.text) for event in desk.told if isinstance(event, StreamText)] == [
        (0, "in time\n"),
        (0, "late\n"),
        (1, "second\n"),
        (0, "very late\n"),
    ]


def test_output_of_nobodys_request_goes_to_the_latest_cell(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.say("stream", "", name="stdout", text="before any cell is nobody's\n")
    desk.recorder.begin(0, "r0")
    desk.recorder.end(0)
    desk.say("stream", "shutdown", name="stdout", text="from an exit handler\n")
    desk.say("status", "shutdown", execution_state="busy")
    assert desk.texts(0) == "from an exit handler\n"


def test_a_display_is_updated_wherever_it_was_shown(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    display = {"data": {"text/plain": "old"}, "metadata": {}, "transient": {"display_id": "d"}}
    for index in (0, 1):
        desk.recorder.begin(index, f"r{index}")
        desk.say("display_data", f"r{index}", **display)
        desk.recorder.end(index)
    desk.say("update_display_data", "r1", data={"text/plain": "new"}, metadata={}, transient={"display_id": "d"})
    desk.say("update_display_data", "r1", data={"text/plain": "no"}, metadata={}, transient={"display_id": "unknown"})
    shown = ["".join(desk.outputs(index)[0]["data"]["text/plain"]) for index in (0, 1)]
    assert shown == ["new", "new"]


@pytest.mark.fault(52)
def test_a_cell_that_has_ended_is_opened_once_for_many_updates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path, limit=1000)
    desk.recorder.begin(0, "r0")
    desk.say("display_data", "r0", data={"text/plain": "start"}, metadata={}, transient={"display_id": "d"})
    desk.recorder.end(0)
    desk.recorder.begin(1, "r1")
    opened: list[int] = []
    reopen = desk.document.reopen

    def noted(index: int) -> dict[str, Any]:
        opened.append(index)
        return reopen(index)

    monkeypatch.setattr(desk.document, "reopen", noted)
    for text in [*map(str, range(50)), "x" * 2000, "last"]:
        desk.say("update_display_data", "r1", data={"text/plain": text}, metadata={}, transient={"display_id": "d"})
    assert opened == []
    desk.recorder.settle()
    assert opened == [0]
    assert desk.outputs(0)[0]["data"]["text/plain"] == ["last"]
    for _ in range(2):
        desk.say("update_display_data", "r1", data={"text/plain": "x" * 2000}, transient={"display_id": "d"})
        desk.recorder.settle()
    dropped = [event for event in desk.told if isinstance(event, OutputEmitted) and event.dropped]
    assert [(event.index, len(event.output["data"]["text/plain"])) for event in dropped] == [(1, 2000)] * 2


@pytest.mark.fault(52)
def test_large_updates_of_cells_that_have_ended_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "HELD_BYTES", 2000)
    desk = Desk(tmp_path)
    desk.recorder.begin(0, "r0")
    for name in "abc":
        desk.say("display_data", "r0", data={"text/plain": ""}, metadata={}, transient={"display_id": name})
    desk.recorder.end(0)
    desk.recorder.begin(1, "r1")
    for name in "abc":
        desk.say("update_display_data", "r1", data={"text/plain": name * 900}, transient={"display_id": name})
    assert desk.recorder._displays.waiting_bytes <= 2000
    assert ["".join(output["data"]["text/plain"])[:1] for output in desk.outputs(0)] == ["a", "b", "c"]


def test_counts_and_times_are_the_kernels(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.recorder.begin(0, "r0")
    message = Message("execute_input", "r0", {"execution_count": 7}, date="2026-01-01T00:00:00Z")
    desk.recorder.handle(message)
    desk.recorder.end(0)
    cell = desk.document.reopen(0)
    assert cell["execution_count"] == 7
    assert cell["metadata"]["execution"]["iopub.execute_input"].startswith("2026-01-01T00:00:00")


def test_secrets_are_masked_in_everything_even_across_messages(tmp_path: Path) -> None:
    desk = Desk(tmp_path, secrets=("hunter2",))
    desk.recorder.begin(0, "r0")
    for text in ("it is hun", "ter", "2!\n", "hunter"):
        desk.say("stream", "r0", name="stdout", text=text)
    desk.say("display_data", "r0", data={"text/html": "<b>hunter2</b>"}, metadata={"m": "hunter2"})
    desk.say("error", "r0", ename="E", evalue="hunter2", traceback=["at hunter2"])
    desk.recorder.end(0)
    outputs = repr(desk.outputs(0))
    assert "hunter2" not in outputs + repr(desk.told)
    assert "it is ***!" in outputs
    assert "hunter" in outputs


@pytest.mark.fault(49)
def test_what_is_left_of_a_long_error_shows_no_part_of_a_secret(tmp_path: Path) -> None:
    desk = Desk(tmp_path, secrets=("QZQZQZQZ",))
    text = "x" * (LONGEST_TEXT // 2 - 4) + "QZQZQZQZ" + "y" * LONGEST_TEXT
    error = {"ename": "E", "evalue": text}
    desk.recorder.begin(0, "r0")
    desk.say("error", "r0", **error)
    opened = {"state": OUTPUT_MODEL | {"outputs": [{"output_type": "error", **error}]}}
    desk.say("comm_open", "r0", comm_id="w", target_name="jupyter.widget", data=opened)
    (shown,) = desk.outputs(0)
    (in_widget,) = desk.document.notebook["metadata"]["widgets"][STATE_MIME]["state"]["w"]["state"]["outputs"]
    for output in (shown, in_widget):
        assert "characters are left out here" in output["evalue"]
        assert "Q" not in "".join(output["evalue"])


def test_a_dropped_output_is_told_whole(tmp_path: Path) -> None:
    desk = Desk(tmp_path, limit=500)
    desk.recorder.begin(0, "r0")
    desk.say("display_data", "r0", data={"text/plain": "x" * 1000}, metadata={})
    (event,) = [event for event in desk.told if isinstance(event, OutputEmitted)]
    assert event.dropped
    assert event.output["data"]["text/plain"] == "x" * 1000


def test_results_are_collected_from_displays_and_updates(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.recorder.begin(0, "r0")
    mime = "application/scrapbook.scrap.json+json"
    for kind, name, value in (("display_data", "a", 1), ("display_data", "b", [2]), ("update_display_data", "a", 3)):
        desk.say(kind, "r0", data={mime: {"name": name, "data": value, "encoder": "json"}}, metadata={})
    desk.say("display_data", "r0", data={"application/papermill.record+json": {"old": "style"}}, metadata={})
    desk.say("display_data", "r0", data={mime: "not a scrap"}, metadata={})
    assert desk.recorder.reported.results == {"a": 3, "b": [2], "old": "style"}


def test_many_late_cells_are_not_all_held_open(tmp_path: Path) -> None:
    desk = Desk(tmp_path, cells=30)
    for index in range(30):
        desk.recorder.begin(index, f"r{index}")
        desk.recorder.end(index)
    for index in range(30):
        desk.say("stream", f"r{index}", name="stdout", text=f"late {index}\n")
    assert len(desk.recorder._open) <= 8
    assert [desk.texts(index) for index in range(30)] == [f"late {index}\n" for index in range(30)]


def test_an_output_nested_too_deeply_is_a_note_wherever_it_comes(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.recorder.begin(0, "r0")
    note = {"text/plain": [TOO_DEEP]}  # lines, as the format has it
    desk.say("display_data", "r0", data={"text/plain": "first"}, metadata={}, transient={"display_id": "d"})
    deep = {"data": {"application/json": [TOO_DEEP]}, "metadata": {"x": TOO_DEEP}, "transient": {"display_id": "d"}}
    for kind in ("execute_result", "update_display_data"):
        content = deep | {"execution_count": 3}
        desk.recorder.handle(Message(type=kind, parent_id="r0", content=content, too_deep=True))
    desk.recorder.handle(Message(type="error", parent_id="r0", content={"ename": "E", "evalue": []}, too_deep=True))
    desk.recorder.end(0)
    assert desk.outputs(0) == [
        {"output_type": "display_data", "data": note, "metadata": {}},
        {"output_type": "execute_result", "data": note, "metadata": {}, "execution_count": 3},
        {"output_type": "error", "ename": "E", "evalue": TOO_DEEP, "traceback": [TOO_DEEP]},
    ]


def test_a_snapshot_has_the_widgets_as_they_are_by_then_and_no_secret_of_them(tmp_path: Path) -> None:
    desk = Desk(tmp_path, secrets=("s3cr3t-token",))

    def shown() -> dict[str, Any]:
        desk.recorder.settle()
        snapshot = json.loads(b"".join(desk.document.snapshot().chunks()))
        state: dict[str, Any] = snapshot["metadata"]["widgets"][STATE_MIME]["state"]["w"]["state"]
        return state

    desk.recorder.begin(0, "r0")
    opened = {"state": {"_model_name": "TextModel", "value": "my s3cr3t-token"}}
    desk.say("comm_open", "r0", comm_id="w", target_name="jupyter.widget", data=opened)
    assert shown()["value"] == "my ***"
    desk.say("comm_msg", "r0", comm_id="w", data={"method": "update", "state": {"value": "later"}})
    assert shown()["value"] == "later"
    assert "s3cr3t" not in str(desk.document.notebook)


def test_an_update_that_is_refused_opens_no_other_cell(tmp_path: Path) -> None:
    """As many late cells as are held open wait for it, of which the oldest would give way."""
    desk = Desk(tmp_path, cells=REOPENED_AT_ONCE + 1, limit=1000)
    for index in range(REOPENED_AT_ONCE + 1):
        desk.recorder.begin(index, f"r{index}")
        desk.say("display_data", f"r{index}", data={"text/plain": "0"}, transient={"display_id": f"d{index}"})
        desk.recorder.end(index)
    for index in range(REOPENED_AT_ONCE):
        desk.say("stream", f"r{index}", name="stdout", text="late\n")
    desk.say("update_display_data", "", data={"text/plain": "x" * 2000}, transient={"display_id": "d0"})
    desk.recorder.finish()
    assert "an update of" in "".join(desk.outputs(0)[0]["data"]["text/plain"])
    last = desk.document.cells[-1]["id"]
    told = [(each.index, each.id) for each in desk.told if isinstance(each, OutputEmitted) and each.dropped]
    assert told == [(REOPENED_AT_ONCE, last)]


def test_every_update_counts_once_whoever_shows_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    update = {"data": {"text/plain": "x" * 1000}, "transient": {"display_id": "d"}}
    for index in (0, 1):
        desk.recorder.begin(index, f"r{index}")
        for _ in range(2):
            desk.say("display_data", f"r{index}", data={"text/plain": "0"}, transient={"display_id": "d"})
        for _ in range(10 * index):
            desk.say("update_display_data", f"r{index}", **update)
        desk.recorder.end(index)
    assert desk.recorder.output_bytes[0] < 1000
    assert 10_000 < desk.recorder.output_bytes[1] < 13_000
