"""Any text passes from a pipeline's file through KFP's engine into a step and on to the next, or is refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep.steps import NotebookStep, notebook_step
from nbstep.steps.component import component_ir
from nbstep_runner.contract import RUNS_INPUT, WORKSPACE, StepSpec, StorageOptions, decode
from nbstep_runner.errors import BadInputError
from nbstep_runner.kfp_adapter.arguments import Files, in_workspace, runner_arguments
from nbstep_runner.kfp_adapter.deliver import check_promises, deliver
from nbstep_runner.kfp_adapter.executor_input import read_executor_input
from nbstep_runner.kfp_adapter.notebook import step_notebook
from support import kfp_engine, notebooks
from support.records import run_record

PIECES = (
    *("{{", "}}", "{", "}", "=", "$", "$$", "$(", ")", "$(KFP_POD_NAME)", "{{$}}", " ", "\n", '"', "'", "\\", ",", ":"),
    *("workflow.name", "{{workflow.name}}", "{{ workflow.name }}", "inputs.parameters.task-name", "item", "retries"),
    *(
        "{{=1+1}}",
        "{{$.inputs.parameters['text']}}",
        "{{name}}",
        "pod.name",
        "tasks",
        "é",
        "漢",
        "🎉",
        "\x00",
        "\u2028",
    ),
)
TEXTS = st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"])).map("".join)
JSON = st.recursive(
    TEXTS | st.integers(-(2**53), 2**53) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def step_with(folder: Path, cell: str, **options: Any) -> NotebookStep:
    path = notebooks.write(folder / "work.ipynb", [notebooks.Code(cell, ("parameters",)), "1"])
    return notebook_step(path, image="image:1", html=False, **options)


def told(step: NotebookStep, values: dict[str, Any]) -> dict[str, str]:
    """The options that the step's container is started with in the end."""
    ir = component_ir(step)
    container = ir["deploymentSpec"]["executors"][f"exec-{step.name}"]["container"]
    command = kfp_engine.started(ir["components"][f"comp-{step.name}"], container, values)
    return dict(zip(command[2::2], command[3::2], strict=False))


def arrived(step: NotebookStep, values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the step's notebook is given in the end, of constants or of what an earlier step passes on."""
    options = told(step, values)
    plan = decode(options["--plan"].encode(), StepSpec)
    assert step_notebook(plan, options["--notebook"], StorageOptions()) == step.source.data
    runner_arguments(plan, read_executor_input(options["--executor-input"]), Files(folder), ())
    return dict(json.loads((folder / "params.yaml").read_text()))


@pytest.mark.fault(69)
@given(TEXTS)
def test_a_constant_text(folder: Path, text: str) -> None:
    step = step_with(folder, "text: str = ''")
    try:
        values = step(text=text).constants
    except BadInputError as error:
        assert "replaces" in error.message  # noqa: PT017 - what is refused is refused for a reason
        return
    assert arrived(step, values, folder)["text"] == text


@pytest.mark.fault(69)
@given(st.lists(JSON, max_size=3), st.dictionaries(TEXTS, JSON, max_size=3))
def test_constant_lists_and_mappings(folder: Path, items: list[Any], table: dict[str, Any]) -> None:
    step = step_with(folder, "items: list = []\ntable: dict = {}")
    try:
        values = step(items=items, table=table).constants
    except BadInputError as error:
        assert "replaces" in error.message or "would not arrive" in error.message  # noqa: PT017 - as above
        return
    given = arrived(step, values, folder)
    assert (given["items"], given["table"]) == (items, table)


@pytest.mark.fault(69)
@given(JSON)
def test_a_fixed_value(folder: Path, value: Any) -> None:
    step = step_with(folder, "anything = None", values={"anything": value})
    assert arrived(step, {}, folder)["anything"] == value


@pytest.mark.fault(69)
@given(TEXTS)
def test_a_default(folder: Path, text: str) -> None:
    """One that KFP would change is the notebook's alone; what KFP is told arrives."""
    step = step_with(folder, f"text: str = {text!r}\nitems: list = [{text!r}, 1.5]")
    given = arrived(step, {}, folder)
    assert given.get("text", text) == text
    assert given.get("items", [text, 1.5]) == [text, 1.5]


@pytest.mark.fault(69)
@given(TEXTS)
def test_a_result_on_its_way_to_the_next_step(folder: Path, text: str) -> None:
    first = step_with(folder, "text: str = ''", results={"note": str})
    ir = component_ir(first)["components"]["comp-work"]
    message = kfp_engine.executor_input(ir, {}, str(folder), str(folder))
    outputs = read_executor_input(json.dumps(message)).outputs
    done = run_record(run_id="work-1", output_uri="", results={"note": text}, exit_code=0)
    deliver(first.plan(), done, outputs, StorageOptions())
    try:
        check_promises(first.plan(), done, outputs)
    except BadInputError as error:
        assert "replaces" in error.message  # noqa: PT017 - as above
        return
    passed_on = Path(outputs.parameters["note"].output_file).read_bytes().decode()
    assert arrived(step_with(folder, "text: str = ''"), {"text": passed_on}, folder)["text"] == text


@pytest.mark.fault(69)
@given(TEXTS)
def test_help_of_a_parameter_stops_no_pipeline(folder: Path, text: str) -> None:
    line = " ".join(text.split()).replace("\x00", "")
    step = step_with(folder, f"text: str = 'x'  # {line}")
    assert arrived(step, {}, folder)["text"] == "x"


@pytest.mark.fault(68)
def test_runs_in_the_workspace_are_where_kfp_mounts_it(folder: Path) -> None:
    step = step_with(folder, "x: int = 1", runs=f"{WORKSPACE}/runs")

    def plan(values: dict[str, Any]) -> StepSpec:
        options = told(step, values)
        return in_workspace(
            decode(options["--plan"].encode(), StepSpec), read_executor_input(options["--executor-input"])
        )

    assert plan({RUNS_INPUT: step.runs}).runs == f"{kfp_engine.WORKSPACE}/runs"
    with pytest.raises(BadInputError, match="its pipeline does not say where that is"):
        plan({})


def test_the_workspace_is_known_inside_of_a_text_and_nowhere_else(folder: Path) -> None:
    step = step_with(folder, "text: str = ''\nitems: list = []")
    values = step(text=f"{WORKSPACE}/data").constants
    assert arrived(step, values, folder)["text"] == f"{kfp_engine.WORKSPACE}/data"
    with pytest.raises(BadInputError, match="replaces"):
        step(items=[WORKSPACE])
