from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import OutputLimits
from nbstep_runner.engine.document import SPOOLED, SpooledOutput
from nbstep_runner.engine.messages import output_of
from nbstep_runner.engine.outputs import OUTPUT_OVERHEAD, CellOutputs, OutputBudget, size_of
from nbstep_runner.kernel.wire import Message

LIMITS = OutputLimits(text_bytes=2**20, cell_bytes=2000, notebook_bytes=5000)


def fresh(limits: OutputLimits = LIMITS) -> CellOutputs:
    return CellOutputs(OutputBudget(limits, "out.log.jsonl"))


def display(text: str) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}


def error() -> dict[str, Any]:
    return {"output_type": "error", "ename": "E", "evalue": "e", "traceback": ["x" * 9000]}


def test_text_continues_its_own_stream_only() -> None:
    outputs = fresh()
    for name, text in (("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")):
        assert outputs.append_text(name, text)
    outputs.append(display("x"))
    outputs.append_text("stdout", "e")
    shown = [(output.get("name"), output.get("text")) for output in outputs.finished()]
    assert shown == [("stdout", "ab"), ("stderr", "c"), ("stdout", "d"), (None, None), ("stdout", "e")]


def test_text_continues_what_an_ended_cell_had() -> None:
    before: list[dict[str, Any]] = [{"output_type": "stream", "name": "stdout", "text": ["a\n", "b"]}]
    outputs = CellOutputs(OutputBudget(LIMITS, "log"), before)
    outputs.append_text("stdout", "c")
    assert outputs.finished() == [{"output_type": "stream", "name": "stdout", "text": "a\nbc"}]


def test_clearing_frees_what_was_spent() -> None:
    budget = OutputBudget(LIMITS, "log")
    outputs = CellOutputs(budget)
    outputs.append_text("stdout", "x" * 1000)
    outputs.append(display("y" * 500))
    outputs.clear(wait=True)
    assert len(outputs.finished()) == 2
    outputs.append_text("stdout", "new")
    assert outputs.finished() == [{"output_type": "stream", "name": "stdout", "text": "new"}]
    assert budget.left == LIMITS.notebook_bytes - OUTPUT_OVERHEAD - len("new")
    outputs.clear(wait=False)
    assert (outputs.finished(), budget.left) == ([], LIMITS.notebook_bytes)


def test_what_is_too_large_is_declared_once_and_errors_always_stay() -> None:
    outputs = fresh()
    assert not outputs.append(display("x" * 3000))
    assert not outputs.append(display("x" * 4000))
    assert outputs.append(error())
    assert not outputs.append(display("x" * 3000))
    kinds = [output["output_type"] for output in outputs.finished()]
    assert kinds == ["stream", "error", "stream"]
    assert outputs.finished()[0]["text"] == "[nbstep: further output is left out here; out.log.jsonl has all of it]\n"
    assert "an output of 3," in outputs.finished()[2]["text"] or "further output" in outputs.finished()[2]["text"]


def test_a_note_is_not_continued_by_text() -> None:
    outputs = fresh()
    outputs.append(display("x" * 3000))
    outputs.append_text("stderr", "printed")
    assert [output["text"] for output in outputs.finished()][1:] == ["printed"]


def test_updates_change_what_is_there_and_nothing_else() -> None:
    outputs = fresh()
    outputs.append(display("old"))
    outputs.append_text("stdout", "text")
    outputs.replace([0], {"text/plain": "new"}, {"m": 1})
    outputs.replace([1], {"text/plain": "no"}, {})
    outputs.replace([9], {"text/plain": "no"}, {})
    assert outputs.finished()[0] == {"output_type": "display_data", "data": {"text/plain": "new"}, "metadata": {"m": 1}}
    assert outputs.finished()[1]["text"] == "text"


ACTIONS = st.lists(
    st.tuples(st.just("text"), st.sampled_from(["stdout", "stderr"]), st.text("x\n", max_size=900))
    | st.tuples(st.just("display"), st.just(""), st.text("y", max_size=900))
    | st.tuples(st.just("clear"), st.just(""), st.sampled_from(["", "w"])),
    max_size=25,
)


@given(ACTIONS)
def test_limits_hold_whatever_comes(actions: list[tuple[str, str, str]]) -> None:
    outputs = fresh()
    received = 0
    for kind, name, text in actions:
        if kind == "text":
            outputs.append_text(name, text)
            received += len(text)
        elif kind == "display":
            outputs.append(display(text))
            received += len(text)
        else:
            outputs.clear(wait=bool(text))
    notes = sum("[nbstep:" in json.dumps(output) for output in outputs.finished())
    assert sum(map(size_of, outputs.finished())) <= LIMITS.cell_bytes + notes * 300
    assert outputs.received >= received


@pytest.mark.parametrize("kind", ["display_data", "execute_result", "error"])
def test_messages_lack_nothing_that_the_format_asks_for(kind: str) -> None:
    output = output_of(Message(type=kind, parent_id="", content={"transient": {"display_id": "x"}}))
    required = {
        "display_data": {"data", "metadata"},
        "execute_result": {"data", "metadata", "execution_count"},
        "error": {"ename", "evalue", "traceback"},
    }
    assert output.keys() == required[kind] | {"output_type"}


@pytest.mark.fault(52)
def test_updates_count_against_the_limits_and_a_later_one_that_fits_is_shown() -> None:
    budget = OutputBudget(LIMITS, "out.log.jsonl")
    outputs = CellOutputs(budget)
    outputs.append(display("first"))
    assert not outputs.replace([0], {"text/plain": "x" * 3000}, {})
    (shown,) = outputs.finished()
    assert (
        shown["data"]["text/plain"]
        == "[nbstep: an update of 3,110 bytes is left out here; out.log.jsonl has all of it]\n"
    )
    assert outputs.replace([0], {"text/plain": "last"}, {})
    assert outputs.finished() == [display("last")]
    assert budget.left == LIMITS.notebook_bytes - size_of(display("last"))


@pytest.mark.fault(52)
def test_metadata_and_control_characters_count_as_they_are_written() -> None:
    outputs = fresh()
    assert not outputs.append(display("x") | {"metadata": {"note": "y" * 2000}})
    assert not outputs.append(display("\0" * 400))
    assert outputs.append(display("z" * 400))


@pytest.mark.fault(52)
def test_printed_text_is_limited_as_it_is_written() -> None:
    limits = OutputLimits(text_bytes=60_000, cell_bytes=100_000, notebook_bytes=100_000)
    for text in ("\0" * 20_000, "\u4e2d" * 50_000, "x" * 100_000):
        outputs = fresh(limits)
        for start in range(0, len(text), 7000):
            outputs.append_text("stdout", text[start : start + 7000])
        assert 50_000 < len(json.dumps(outputs.finished(), ensure_ascii=False).encode()) < 61_000


@pytest.mark.fault(52)
def test_displays_that_are_too_much_for_memory_are_put_away_in_order() -> None:
    away: list[dict[str, Any]] = []
    spooled = SpooledOutput(counted=7, rest={"output_type": "display_data"})

    def put_away(output: dict[str, Any], _size: int) -> dict[str, Any]:
        away.append(output)
        return spooled.as_output()

    outputs = CellOutputs(OutputBudget(OutputLimits(), "log"), put_away=put_away)
    outputs.append_text("stdout", "text stays")
    large = [display(f"{number}" * 3_000_000) for number in range(3)]
    for output in large:
        outputs.append(output)
    assert away == large[:2]
    assert [output.get("name") or list(output) for output in outputs.finished()] == [
        "stdout",
        ["output_type", SPOOLED],
        ["output_type", SPOOLED],
        ["output_type", "data", "metadata"],
    ]
    assert outputs.replace([1], {"text/plain": "updated"}, {})
    assert outputs.finished()[1] == display("updated")


@pytest.mark.fault(52)
def test_displays_of_one_id_share_what_they_show() -> None:
    budget = OutputBudget(OutputLimits(cell_bytes=10_000, notebook_bytes=10_000), "the log")
    outputs = CellOutputs(budget)
    for _ in range(3):
        outputs.append(display("x" * 500))
    assert outputs.replace(range(3), data := {"text/plain": "y" * 1000}, {})
    assert all(output["data"] is data for output in outputs.finished())
    assert budget.left == 10_000 - 3 * size_of(display("y" * 1000))
    assert not outputs.replace(range(3), {"text/plain": "z" * 5000}, {})
    assert [len(output["data"]["text/plain"]) > 1000 for output in outputs.finished()] == [True, False, False]
    assert budget.left == 10_000 - sum(map(size_of, outputs.finished()))


@pytest.mark.fault(52)
def test_an_error_without_room_is_shortened() -> None:
    outputs = fresh()
    assert not outputs.append(error() | {"evalue": "x" * 500_000})
    (shown,) = outputs.finished()
    assert "are left out here; out.log.jsonl has all of it" in shown["evalue"]
    assert size_of(shown) < 100_000
