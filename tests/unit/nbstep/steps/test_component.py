"""A step as a component: its IR, the notebook inside it, and what is refused when it is made."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from nbstep.profiles import Profile, overlaid
from nbstep.steps import NotebookStep, notebook_step
from nbstep.steps.component import component_ir, component_yaml
from nbstep.steps.embedding import LIMIT
from nbstep_runner.contract import Deadlines, StepSpec, StorageOptions, decode
from nbstep_runner.errors import BadInputError
from nbstep_runner.kfp_adapter.notebook import step_notebook
from support import notebooks

PARAMETERS = notebooks.Code("data: str\nepochs: int = 2\nmodel_path: str = 'm'\n", ("parameters",))


def step(folder: Path, source: str = "print(epochs)", **options: Any) -> NotebookStep:
    path = notebooks.write(folder / "Train model.ipynb", [PARAMETERS, source])
    return notebook_step(
        path, **{"image": "image:1", "artifacts": {"model": "Model"}, "results": {"rmse": float}} | options
    )


def container(one: NotebookStep) -> dict[str, Any]:
    found: dict[str, Any] = component_ir(one)["deploymentSpec"]["executors"][f"exec-{one.name}"]["container"]
    return found


def plan_of(one: NotebookStep) -> StepSpec:
    arguments = container(one)["args"]
    return decode(arguments[arguments.index("--plan") + 1].encode(), StepSpec)


def test_its_ports_are_the_notebooks_own(tmp_path: Path) -> None:
    component = component_ir(step(tmp_path, inputs={"data": "Dataset"}))["components"]["comp-train-model"]
    come, go = component["inputDefinitions"], component["outputDefinitions"]
    assert come["artifacts"] == {"data": {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}}
    assert set(come["parameters"]) == {"epochs", "notebook_digest"}
    assert come["parameters"]["epochs"] == {"parameterType": "NUMBER_INTEGER", "isOptional": True, "defaultValue": 2}
    titles = {name: one["artifactType"]["schemaTitle"] for name, one in go["artifacts"].items()}
    assert titles == {
        "notebook": "system.Artifact",
        "metrics": "system.Metrics",
        "html": "system.HTML",
        "model": "system.Model",
    }
    assert go["parameters"] == {"rmse": {"parameterType": "NUMBER_DOUBLE"}}


def test_the_yaml_says_the_same_without_references(tmp_path: Path) -> None:
    one = step(tmp_path)
    text = component_yaml(one)
    assert yaml.safe_load(text) == component_ir(one)
    assert "&id" not in text


def test_the_embedded_notebook_is_the_one_that_was_compiled(tmp_path: Path) -> None:
    one = step(tmp_path)
    arguments = container(one)["args"]
    data = step_notebook(plan_of(one), arguments[arguments.index("--notebook") + 1], StorageOptions())
    assert json.loads(data)["cells"][1]["source"] == "print(epochs)"


def test_only_what_changes_a_run_changes_the_component(tmp_path: Path) -> None:
    before = component_yaml(step(tmp_path))
    path = tmp_path / "Train model.ipynb"
    ran = json.loads(path.read_text())
    ran["cells"][1] |= {"outputs": [{"output_type": "stream", "name": "stdout", "text": "2"}], "execution_count": 7}
    path.write_text(json.dumps(ran))
    options = {"image": "image:1", "artifacts": {"model": "Model"}, "results": {"rmse": float}}
    assert component_yaml(notebook_step(path, **options)) == before  # type: ignore[arg-type]  # any option of any type
    changed = step(tmp_path, "print(epochs + 1)")
    assert component_yaml(changed) != before
    digest = component_ir(changed)["root"]["inputDefinitions"]["parameters"]["notebook_digest"]["defaultValue"]
    assert digest == plan_of(changed).digest == changed.source.digest


def test_a_large_notebook_is_refused_with_a_way_out(tmp_path: Path) -> None:
    noise = "# " + random.Random(1).randbytes(LIMIT).hex()  # noqa: S311 - text that does not compress
    large = step(tmp_path, noise)
    with pytest.raises(BadInputError, match=rf"{LIMIT} is the most") as caught:
        component_yaml(large)
    assert "upload_to" in caught.value.hint


def test_a_large_notebook_goes_by_its_place(tmp_path: Path) -> None:
    noise = "# " + random.Random(1).randbytes(LIMIT).hex()  # noqa: S311 - text that does not compress
    uploaded = step(tmp_path, noise, upload_to=str(tmp_path / "notebooks"))
    assert "--notebook" not in container(uploaded)["args"]
    assert noise in step_notebook(plan_of(uploaded), None, StorageOptions()).decode()
    baked = step(tmp_path, source="print(1)")
    assert plan_of(baked).source is None
    in_image = notebook_step(tmp_path / "Train model.ipynb", image="image:1", source="/notebooks/train.ipynb")
    assert plan_of(in_image).source == "/notebooks/train.ipynb"


def test_every_argument_fits_the_kernels_limit(tmp_path: Path) -> None:
    noise = "# " + random.Random(1).randbytes(LIMIT * 6 // 10).hex()  # noqa: S311 - text that does not compress
    ir = container(step(tmp_path, noise))
    assert LIMIT * 0.8 < len(json.dumps(ir)) < 2**17  # KFP's driver gets the whole container as one argument


def test_deadlines_kernel_and_claims_reach_the_container(tmp_path: Path) -> None:
    one = step(tmp_path, deadlines=Deadlines(run=600, cell=60), kernel="python3", runs="pvc://digits/runs")
    arguments = container(one)["args"]
    assert arguments[arguments.index("--") + 1 :] == [
        *("--run-timeout", "600", "--execution-timeout", "60", "--kernel", "python3")
    ]
    assert plan_of(one).runs == "/pvc/digits/runs"


def test_a_step_that_keeps_its_state_needs_a_place_for_it(tmp_path: Path) -> None:
    arguments = container(step(tmp_path, state=True, runs="pvc://digits/runs"))["args"]
    assert arguments[arguments.index("--") + 1 :] == ["--keep-state"]
    with pytest.raises(BadInputError, match="has nowhere to keep its state"):
        component_yaml(step(tmp_path, state=True))


def test_fixed_values_are_no_inputs(tmp_path: Path) -> None:
    one = step(tmp_path, values={"epochs": {"secret": "env:EPOCHS"}})
    assert "epochs" not in component_ir(one)["root"]["inputDefinitions"]["parameters"]
    assert plan_of(one).values == {"epochs": {"secret": "env:EPOCHS"}}
    with pytest.raises(BadInputError, match="has a fixed value for epochs"):
        one(data="d", epochs=3)


def test_a_component_needs_an_image(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="names no image"):
        component_yaml(step(tmp_path, image=None))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": "d", "epoch": 3}, "takes no parameter 'epoch'"),
        ({"data": "d", "epochs": "three"}, "'three' is not of type int"),
        ({"epochs": 3}, "data: no value is given"),
        ({"data": "d", "model_path": "m"}, "takes no parameter 'model_path'"),
    ],
)
def test_arguments_are_checked_when_a_step_is_called(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        step(tmp_path)(**arguments)


def test_a_secret_is_no_argument(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="epochs of step train-model is a reference to a secret"):
        step(tmp_path)(data="d", epochs={"secret": "env:EPOCHS"})


def test_a_notebook_is_stored_with_runs_on_a_claim_that_this_machine_has(tmp_path: Path) -> None:
    claims = {"claims": {"digits": {"here": str(tmp_path / "claim")}}}
    (tmp_path / "claim/runs").mkdir(parents=True)
    profile = overlaid(Profile(), {"kubernetes": claims})
    one = step(tmp_path, runs="pvc://digits/runs", profile=profile)
    assert "--notebook" not in container(one)["args"]
    source = plan_of(one).source
    assert source is not None
    assert source.startswith("/pvc/digits/runs/.notebooks/")
    assert (tmp_path / "claim" / source.removeprefix("/pvc/digits/")).read_bytes() == one.source.data


def test_where_it_cannot_be_stored_from_here_it_is_embedded_and_a_warning_says_so(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="is embedded, because it could not be stored: this machine has no access"):
        arguments = container(step(tmp_path, runs="pvc://digits/runs"))["args"]
    assert "--notebook" in arguments


def test_the_embedded_text_is_the_same_on_every_machine(tmp_path: Path) -> None:
    packed = base64.b64decode(step(tmp_path).source.embedded())
    assert packed[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


def test_a_profile_gives_what_the_call_leaves_out(tmp_path: Path) -> None:
    profile = Profile(image="profile:1", runs="/data/runs", retries=3, deadlines=Deadlines(run=60))
    one = step(tmp_path, image=None, profile=profile)
    assert (one.image, one.runs, one.retries, one.deadlines.run) == ("profile:1", "/data/runs", 3, 60)
    other = step(tmp_path, profile=profile, retries=0, deadlines=Deadlines(run=5))
    assert (other.image, other.retries, other.deadlines.run) == ("image:1", 0, 5)
    assert plan_of(one).retries == 3
