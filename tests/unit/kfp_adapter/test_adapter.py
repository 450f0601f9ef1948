"""What the runner reads from KFP's executor input and writes for its engine."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from nbstep_runner.contract import (
    RUNS_INPUT,
    WORKSPACE,
    ErrorInfo,
    RunResult,
    RunState,
    Slot,
    StepSpec,
    StorageOptions,
    whole,
)
from nbstep_runner.errors import BadInputError
from nbstep_runner.kfp_adapter.arguments import Files, in_workspace, run_id_of, runner_arguments
from nbstep_runner.kfp_adapter.deliver import check_promises, deliver, try_to_deliver
from nbstep_runner.kfp_adapter.executor_input import ExecutorInput, given, read_executor_input
from nbstep_runner.kfp_adapter.notebook import step_notebook
from support.records import run_record

PLAN = StepSpec(
    name="train",
    digest="sha256:0",
    texts=("anything",),
    values={"fixed": 1},
    inputs={"data": Slot(parameter="data"), "table": Slot(parameter="table_uri")},
    artifacts={"model": Slot(parameter="model_path")},
    results={"rmse": "NUMBER_DOUBLE", "steps": "NUMBER_INTEGER", "note": "STRING"},
)


OWN = {"notebook", "metrics", "html", *PLAN.artifacts}


def message(folder: Path, **inputs: Any) -> ExecutorInput:
    names = ("model", "notebook", "html", "metrics")
    return read_executor_input(
        json.dumps(
            {
                "inputs": inputs,
                "outputs": {
                    "outputFile": str(folder / "executor_output.json"),
                    "parameters": {name: {"outputFile": str(folder / "out" / name)} for name in PLAN.results},
                    "artifacts": {
                        name: {"artifacts": [{"name": name, "uri": str(folder / name), "type": {"schemaTitle": "x"}}]}
                        for name in names
                    },
                },
            }
        )
    )


def test_whole_numbers_come_back_from_protocol_buffers() -> None:
    assert whole({"a": [1.0, 1.5, True, "1.0"], "b": 2.0**60}) == {"a": [1, 1.5, True, "1.0"], "b": 2.0**60}
    assert [type(one) for one in whole([1.0, 1.5, True])] == [int, float, bool]
    assert given({"a": None, "b": 0.0, "pipelinechannel--first-rows": 3.0}) == {"b": 0}


@drawn(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=20))
def test_no_value_changes_but_in_its_type(value: Any) -> None:
    assert whole(value) == value


def test_parameters_and_places_become_a_command_line(tmp_path: Path) -> None:
    executor_input = message(
        tmp_path,
        parameterValues={"epochs": 3.0, "anything": "5", "notebook_digest": "sha256:0", "absent": None},
        artifacts={
            "data": {"artifacts": [{"uri": "gs://bucket/data.csv"}]},
            "table": {"artifacts": [{"uri": "gs://bucket/table"}]},
        },
    )
    arguments = runner_arguments(PLAN, executor_input, Files(tmp_path), ("--kernel", "python3"))
    assert json.loads((tmp_path / "params.yaml").read_text()) == {
        "fixed": 1,
        "epochs": 3,
        "data": "/gcs/bucket/data.csv",
        "table_uri": "gs://bucket/table",
        "model_path": str(tmp_path / "model"),
    }
    assert arguments[:3] == [str(tmp_path / name) for name in ("input.ipynb", "output.ipynb", "params.yaml")]
    assert arguments[3:5] == ["-p", "anything=5"]
    assert arguments[-2:] == ["--kernel", "python3"]


@pytest.mark.parametrize(
    ("artifact", "path"),
    [
        ({"uri": "gs://b/x"}, "/gcs/b/x"),
        ({"uri": "s3://b/x"}, "/s3/b/x"),
        ({"uri": "minio://b/x"}, "/minio/b/x"),
        ({"uri": "oci://host/team/model:1"}, "/oci/host_team_model:1/models"),
        ({"uri": "/local/x"}, "/local/x"),
        ({"uri": "gs://b/x", "customPath": "/mnt/x"}, "/mnt/x"),
    ],
)
def test_artifacts_lie_where_kfp_puts_them(tmp_path: Path, artifact: dict[str, str], path: str) -> None:
    found = message(tmp_path, artifacts={"data": {"artifacts": [artifact]}})
    assert found.inputs.artifacts["data"].artifacts[0].path == path


def test_several_artifacts_of_one_name_are_a_list(tmp_path: Path) -> None:
    several = {"artifacts": [{"uri": "/a"}, {"uri": "/b"}]}
    runner_arguments(PLAN, message(tmp_path, artifacts={"data": several}), Files(tmp_path), ())
    assert json.loads((tmp_path / "params.yaml").read_text())["data"] == ["/a", "/b"]


RECORDED = json.loads((Path(__file__).parent / "executor-input-2.17.json").read_text())
"""What the launcher of Kubeflow Pipelines 2.17 passed to the first attempt of a step."""


def recorded(old: str = "", new: str = "") -> ExecutorInput:
    """The recorded message, a text in it replaced everywhere."""
    text = json.dumps(RECORDED)
    assert old in text
    return read_executor_input(text.replace(old, new) if old else text)


@pytest.mark.fault(68)
def test_what_kfp_adds_for_an_attempt_changes_no_run_id() -> None:
    assert run_id_of(PLAN, recorded()) == run_id_of(PLAN, recorded("executor-logs-0", "executor-logs-1"))
    assert run_id_of(PLAN, recorded()) != run_id_of(PLAN, recorded("bb6e2879", "bb6e2870"))


@pytest.mark.fault(68)
@drawn(
    st.dictionaries(st.text(min_size=1).filter(lambda name: name not in OWN), st.text()),
    st.dictionaries(st.text(), st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text()),
)
def test_two_messages_that_differ_in_what_kfp_adds_name_one_run(added: dict[str, str], values: dict[str, Any]) -> None:
    changed = json.loads(json.dumps(RECORDED))
    changed["inputs"]["parameterValues"] = values
    changed["outputs"]["artifacts"] |= {name: {"artifacts": [{"uri": uri}]} for name, uri in added.items()}
    assert run_id_of(PLAN, read_executor_input(json.dumps(changed))) == run_id_of(PLAN, recorded())


def test_an_engine_without_a_folder_for_each_execution_names_it_by_the_steps_own_outputs() -> None:
    """Before 2.17 ``outputFile`` was the same path in every pod."""
    ids = set()
    for execution in ("bb6e2879", "bb6e2870"):
        message = json.loads(json.dumps(RECORDED).replace("bb6e2879", execution))
        message["outputs"]["outputFile"] = "/tmp/kfp_outputs/output_metadata.json"  # noqa: S108 - KFP's own place
        ids.add(run_id_of(PLAN, read_executor_input(json.dumps(message))))
    assert len(ids) == 2


def test_a_retry_has_the_same_run_id_and_another_execution_has_not(tmp_path: Path) -> None:
    assert run_id_of(PLAN, message(tmp_path)) == run_id_of(PLAN, message(tmp_path, parameterValues={"epochs": 4}))
    assert run_id_of(PLAN, message(tmp_path)) != run_id_of(PLAN, message(tmp_path / "other"))


def test_a_text_that_only_looks_like_a_structure_stays_one(tmp_path: Path) -> None:
    for text in ("[1", "{x}", "--html", "a=b", "[" * 99_999):
        arguments = runner_arguments(PLAN, message(tmp_path, parameterValues={"anything": text}), Files(tmp_path), ())
        assert arguments[3:5] == ["-p", f"anything={text}"]


def test_a_place_of_runs_that_holds_credentials_is_refused_before_anything_runs(tmp_path: Path) -> None:
    place = "https://robot:hunter2@store.example/runs"
    told = message(tmp_path, parameterValues={RUNS_INPUT: place})
    for plan in (replace(PLAN, runs=place), replace(PLAN, runs=f"{WORKSPACE}/runs")):
        with pytest.raises(BadInputError, match="holds credentials") as caught:
            in_workspace(plan, told)
        assert "hunter2" not in str(caught.value)
    assert in_workspace(replace(PLAN, runs="sftp://robot@store.example/runs"), told).runs is not None


def test_another_notebook_than_the_compiled_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="asks for the notebook sha256:1"):
        runner_arguments(PLAN, message(tmp_path, parameterValues={"notebook_digest": "sha256:1"}), Files(tmp_path), ())
    (tmp_path / "n.ipynb").write_bytes(b"{}")
    with pytest.raises(BadInputError, match="is not the one that was compiled"):
        step_notebook(
            StepSpec(name="train", digest="sha256:0", source=str(tmp_path / "n.ipynb")), None, StorageOptions()
        )
    with pytest.raises(BadInputError, match="the embedded notebook is damaged"):
        step_notebook(PLAN, "bm90IGd6aXA=", StorageOptions())


@pytest.mark.parametrize("text", ["", "{}", '{"outputs": {"outputFile": 3}}', "{{$}}", '{"inputs":' * 99_999])
def test_what_is_no_executor_input_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="not KFP's"):
        read_executor_input(text)


def record(folder: Path, state: RunState = RunState.SUCCEEDED, **fields: Any) -> RunResult:
    (folder / "output.ipynb").write_text("{}")
    return run_record(
        run_id="train-1",
        state=state,
        output_uri=str(folder / "output.ipynb"),
        output_version="1",
        exit_code=0 if state is RunState.SUCCEEDED else 10,
        **fields,
    )


def test_a_success_leaves_every_declared_file(tmp_path: Path) -> None:
    outputs = message(tmp_path).outputs
    (tmp_path / "model").mkdir()
    results = {"rmse": 1, "steps": 3, "note": "good", "other": [1], "beyond every float": 10**400}
    done = record(tmp_path, results=results, warnings=("no <html>",))
    deliver(PLAN, done, outputs, StorageOptions())
    check_promises(PLAN, done, outputs)
    assert {name: (tmp_path / "out" / name).read_text() for name in PLAN.results} == {
        "rmse": "1",
        "steps": "3",
        "note": "good",
    }
    assert json.loads((tmp_path / "metrics").read_text()) == {"rmse": 1, "steps": 3}
    assert "no &lt;html&gt;" in (tmp_path / "html").read_text()
    artifacts = json.loads((tmp_path / "executor_output.json").read_text())["artifacts"]
    assert set(artifacts) == {"model", "notebook", "html", "metrics"}
    assert artifacts["metrics"]["artifacts"][0]["metadata"] == {"rmse": 1, "steps": 3}
    assert artifacts["notebook"]["artifacts"][0]["metadata"]["state"] == "succeeded"


@pytest.mark.parametrize(
    ("results", "problem"),
    [
        ({"rmse": 1.5, "note": ""}, "did not report the result steps"),
        ({"rmse": "low", "steps": 1, "note": ""}, "the result rmse is str, not NUMBER_DOUBLE"),
        ({"rmse": True, "steps": 1, "note": ""}, "the result rmse is bool"),
        ({"rmse": 1.0, "steps": 1.5, "note": ""}, "the result steps is float"),
        ({"rmse": math.nan, "steps": 1, "note": ""}, "the result rmse holds a number that KFP does not carry: NaN"),
        ({"rmse": 1.0, "steps": 2**60, "note": ""}, r"steps holds a number that KFP does not carry: beyond 2"),
        ({"rmse": 1.0, "steps": 1, "note": "{{workflow.name}}"}, "note holds the text '{{workflow.name}}', which Argo"),
    ],
)
def test_a_broken_promise_is_no_success(tmp_path: Path, results: dict[str, Any], problem: str) -> None:
    outputs = message(tmp_path).outputs
    with pytest.raises(BadInputError, match=problem) as caught:
        check_promises(PLAN, record(tmp_path, results=results), outputs)
    assert "did not write the artifact model" in caught.value.message


def test_a_failure_leaves_what_there_is(tmp_path: Path) -> None:
    outputs = message(tmp_path).outputs
    error = ErrorInfo(reference="cell-failed", message="cell 2 raised ValueError: no")
    failed = record(tmp_path, RunState.FAILED, results={"rmse": 0.5}, error=error)
    assert try_to_deliver(PLAN, failed, outputs, StorageOptions()) == ""
    assert (tmp_path / "notebook").read_text() == "{}"
    assert "raised ValueError" in (tmp_path / "html").read_text()
    artifacts = json.loads((tmp_path / "executor_output.json").read_text())["artifacts"]
    assert set(artifacts) == {"notebook", "html", "metrics"}
    about = artifacts["notebook"]["artifacts"][0]["metadata"]
    assert about["error"] == "cell-failed: cell 2 raised ValueError: no"
    assert about["exit_code"] == 10
    assert "record" not in about, "it would name a path inside of the pod"


def test_the_artifact_names_the_record_where_the_runner_keeps_it(tmp_path: Path) -> None:
    outputs = message(tmp_path).outputs
    deliver(replace(PLAN, runs=str(tmp_path)), record(tmp_path), outputs, StorageOptions())
    artifacts = json.loads((tmp_path / "executor_output.json").read_text())["artifacts"]
    assert artifacts["notebook"]["artifacts"][0]["metadata"]["record"] == str(tmp_path / "output.result.json")
