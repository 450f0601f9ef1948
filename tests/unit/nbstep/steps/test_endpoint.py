"""A step that starts an endpoint: its component, and what is refused when it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nbstep.profiles import load_profile
from nbstep.profiles.exposure import ServedStep
from nbstep.steps import NotebookStep, endpoint_step
from nbstep.steps.component import component_ir
from nbstep_runner.contract import decode
from nbstep_runner.errors import BadInputError
from support import notebooks

PARAMETERS = notebooks.Code("model_uri: str\nfactor: float = 2.5\n", ("parameters",))
CLUSTER = {
    "on": "kubernetes",
    "runs": "gs://bucket/endpoints",
    "kubernetes": {"context": "work", "namespace": "models", "claims": {"data": {"here": "/mnt/data"}}},
}


def step(folder: Path, **options: Any) -> NotebookStep:
    path = notebooks.write(folder / "predict.ipynb", [PARAMETERS, "print(factor)"])
    return endpoint_step(path, **{"image": "serving:1", "inputs": {"model": "Model"}} | options)


def test_its_component_takes_what_the_notebook_takes_and_leaves_a_url(tmp_path: Path) -> None:
    one = step(tmp_path, name="prices", profile=load_profile(None, CLUSTER), replicas=2, limits={"concurrency": 8})
    ir = component_ir(one)
    component = ir["components"]["comp-prices"]
    assert set(component["inputDefinitions"]["artifacts"]) == {"model"}
    assert set(component["inputDefinitions"]["parameters"]) == {"factor", "notebook_digest"}
    assert component["outputDefinitions"] == {"parameters": {"url": {"parameterType": "STRING"}}}
    container = ir["deploymentSpec"]["executors"]["exec-prices"]["container"]
    assert (container["image"], container["command"]) == ("serving:1", ["nbstep", "endpoint-step"])
    arguments = container["args"]
    served = decode(arguments[arguments.index("--served") + 1].encode(), ServedStep)
    assert (served.name, served.exposure.replicas, served.limits) == ("prices", 2, {"concurrency": 8})
    assert (served.profile.image, served.profile.runs) == ("serving:1", "gs://bucket/endpoints")


def test_its_pod_knows_the_cluster_by_our_name_and_claims_by_its_own_paths(tmp_path: Path) -> None:
    one = step(tmp_path, profile=load_profile(None, CLUSTER))
    assert one.served is not None
    assert one.served.profile.kubernetes.claims["data"].here == "/pvc/data"
    container = component_ir(one)["deploymentSpec"]["executors"]["exec-predict"]["container"]
    assert container["env"] == [{"name": "NBSTEP_CLUSTER", "value": "work"}]


def test_an_endpoint_of_a_cluster_needs_a_folder_for_its_runs(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="has no folder for its runs"):
        step(tmp_path, profile=load_profile(None, {"on": "kubernetes"}))


def test_it_is_called_in_a_pipeline_alone(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="only a pipeline of Kubeflow Pipelines") as caught:
        step(tmp_path)(factor=1.0)
    assert "nbstep.serve" in caught.value.hint
