"""What a notebook says of its run is of this run alone, and what widgets say makes sense or is passed over."""

from __future__ import annotations

from typing import Any

import pytest

from nbstep_runner.contract import OutputLimits
from nbstep_runner.engine import metadata, widgets
from nbstep_runner.engine.outputs import OutputBudget
from nbstep_runner.engine.widgets import STATE_MIME, WidgetState
from nbstep_runner.kernel.wire import Message
from nbstep_runner.masking import Masker


def empty(**fields: Any) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": fields, "cells": []}


def widget_state() -> WidgetState:
    budget = OutputBudget(OutputLimits(), "the log")
    return WidgetState(budget, Masker(()))


def opened(data: Any, buffers: tuple[bytes, ...] = ()) -> Message:
    content = {"comm_id": "w", "target_name": "jupyter.widget", "data": data}
    return Message(type="comm_open", parent_id="", content=content, buffers=buffers)


def state_of(*messages: Message) -> dict[str, Any]:
    made, notebook = widget_state(), empty()
    for message in messages:
        made.handle(message)
    made.store(notebook)
    state: dict[str, Any] = notebook["metadata"]["widgets"][STATE_MIME]["state"]
    return state


def test_the_verdict_and_the_widgets_of_an_earlier_run_go() -> None:
    notebook = empty(nbstep={"state": "succeeded"}, widgets={STATE_MIME: {"state": {}}}, mine=1)
    metadata.begin_notebook(notebook)
    assert set(notebook["metadata"]) == {"mine", "papermill"}


@pytest.mark.parametrize(
    "data", [None, [], "state", 3, {"state": "x"}, {"state": None}, {"state": []}, {"buffer_paths": 3}]
)
def test_a_widget_that_says_nonsense_ends_nothing(data: Any) -> None:
    assert state_of(opened(data))["w"]["state"] == {}


@pytest.mark.parametrize("paths", [None, 3, "ab", [3], [[{}]], [[["a"]]]])
def test_buffers_that_belong_nowhere_are_left_out(paths: Any) -> None:
    model = state_of(opened({"state": {"value": 1}, "buffer_paths": paths}, (b"abc",)))["w"]
    assert (model["state"], model.get("buffers")) == ({"value": 1}, None)


@pytest.mark.fault(52)
@pytest.mark.parametrize("large", [{"state": {"value": "x" * 17_000_000}}, {"state": {}, "buffer_paths": [["raw"]]}])
def test_the_state_of_a_widget_counts_against_the_limits(large: dict[str, Any]) -> None:
    """One that outgrows them is left out whole: part of a state shows something else than there was."""
    made, notebook = widget_state(), empty()
    made.handle(opened({"state": {"value": 1}}))
    buffers = (b"x" * 17_000_000,) if "buffer_paths" in large else ()
    made.handle(Message("comm_msg", "", {"comm_id": "w", "data": {"method": "update"} | large}, buffers=buffers))
    made.handle(Message("comm_msg", "", {"comm_id": "w", "data": {"method": "update", "state": {"value": 2}}}))
    made.store(notebook)
    assert (notebook["metadata"], made.left_out) == ({}, 1)


@pytest.mark.fault(52)
def test_what_all_output_widgets_hold_is_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widgets, "HELD_BYTES", 3000)
    state = widget_state()
    for name in "ab":
        content = {"comm_id": name, "target_name": "jupyter.widget", "data": {"state": widgets.OUTPUT_MODEL}}
        state.handle(Message("comm_open", "", content))
    shown = {"output_type": "display_data", "data": {"text/plain": "x" * 1000}, "metadata": {}}
    kept = [each.area.outputs.append(dict(shown)) for each in state.output_widgets() for _ in range(2)]
    assert kept == [True, True, False, False]
