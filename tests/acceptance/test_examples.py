"""Every example pipeline: it compiles to what KFP accepts, runs, and leaves what it promises."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import nbformat
import pytest
import requests
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

import nbstep
from nbstep.steps.kfp import local_runs
from nbstep_runner.contract import RunResult, decode
from nbstep_runner.errors import CellFailedError
from servers.fixtures import new_name, s3_server, ssh_server
from servers.s3 import S3Server
from servers.sshd import SshServer
from support import notebooks

__all__ = ["s3_server", "ssh_server"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "pipelines/examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "common")
NOTEBOOKS = sorted(
    path.relative_to(ROOT / "notebooks")
    for folder in ("flights", "housing", "wine", "digits", "classifiers")
    for path in (ROOT / "notebooks" / folder).glob("*.ipynb")
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def example_file(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An example, which finds the others."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return str(EXAMPLES / f"{name}.py")


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An example's pipeline."""
    return runpy.run_path(example_file(name, monkeypatch))["pipeline"]


def step(runs: Path, name: str) -> Path:
    """What a step of the only run left."""
    (found,) = runs.glob(f"*/{name}")
    return found


def record(folder: Path) -> RunResult:
    done = decode((folder / "output.result.json").read_bytes(), RunResult)
    assert {cell.state for cell in done.cells} == {"succeeded"}
    assert (folder / "output.html").stat().st_size > 10_000
    return done


def compiled(name: str, **environment: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [Path(sys.executable).with_name("nbstep"), "compile", "--pipeline", EXAMPLES / f"{name}.py"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return list(yaml.safe_load_all(done.stdout))


@contextmanager
def served(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> Iterator[nbstep.Endpoint]:
    """The endpoint that an example's pipeline starts here, for a block; the pipeline's answer is the endpoint's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.chdir(folder)
    made = runpy.run_path(example_file(name, monkeypatch))
    with local_runs(folder / "runs"):
        answer = made["pipeline"](**arguments).output
    endpoint = nbstep.find(made["serve"].name)
    assert isinstance(endpoint, nbstep.Endpoint)
    try:
        assert answer == endpoint.predict(**made["ASKED"])
        assert "<form" in requests.get(endpoint.url, timeout=10).text
        yield endpoint
    finally:
        endpoint.delete()


@pytest.mark.parametrize("name", NAMES)
def test_it_compiles_to_a_pipeline_spec(name: str) -> None:
    documents = compiled(name, NBSTEP_IMAGE="runner:7", NBSTEP_SERVING_IMAGE="runner:7", NBSTEP_PROFILE="on-premises")
    spec = json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
    assert spec.pipeline_info.name == name.replace("_", "-")
    config = pipeline_spec_pb2.PipelineDeploymentConfig  # in the spec itself it is a Struct, which takes anything
    executors = json_format.ParseDict(documents[0]["deploymentSpec"], config()).executors
    assert {one.container.image for one in executors.values()} == {"runner:7"}
    for platform in documents[1:]:
        parsed = json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        for pod in parsed.platforms["kubernetes"].deployment_spec.executors.values():
            told = json_format.MessageToDict(pod)
            json_format.ParseDict(told, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=str)
def test_its_notebooks_are_tagged_and_without_outputs(path: Path) -> None:
    notebook = nbformat.read(ROOT / "notebooks" / path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])] == ["parameters"]
    assert [cell.id for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_every_example_is_in_the_table() -> None:
    table = (EXAMPLES / "README.md").read_text()
    assert [name for name in NAMES if f"`{name}.py`" not in table] == []


def test_flights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boarding = {"carrier": "A1", "origin": "LAX", "dest": "BNA", "dep_hour": 5, "distance": 1794, "taxi_out": 18}
    with served("flights_endpoint", tmp_path, monkeypatch, bucket=str(ROOT / "notebooks/data")) as endpoint:
        early, late = endpoint.predict(flights=[boarding | {"dep_delay": -8}, boarding | {"dep_delay": 60}])
        with pytest.raises(CellFailedError, match="the model knows no airport XXX"):
            endpoint.predict(flights=[boarding | {"dep_delay": 0, "dest": "XXX"}])
    assert 0 <= late < early <= 1
    assert 0.5 < record(step(tmp_path / "runs", "flights")).results["auc"] < 1
    model = step(tmp_path / "runs", "flights") / "model"
    assert {path.name for path in model.iterdir()} >= {"model.joblib", "metadata.json"}


@pytest.mark.server
def test_flights_opens_its_data_in_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_server: S3Server
) -> None:
    """As on a cluster, where the folder is a bucket: fsspec finds the client that the image has, too."""
    bucket = new_name()
    s3_server.make_bucket(bucket)
    for name in ("airports.csv", "flights.csv.gz"):
        data = (ROOT / "notebooks/data" / name).read_bytes()
        s3_server.client().put_object(Bucket=bucket, Key=f"data/{name}", Body=data)
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    with local_runs(tmp_path):
        auc = example("flights", monkeypatch)(bucket=f"s3://{bucket}/data", project="p").output
    done = record(step(tmp_path, "flights"))
    assert done.results["flights"] > 1_000
    assert done.results["auc"] == auc
    assert done.parameters["PROJECT"] == "p"


def test_process_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_runs(tmp_path):
        accuracy = example("process_train", monkeypatch)(test_share=0.4).output
    processed, trained = record(step(tmp_path, "process-data")), record(step(tmp_path, "train"))
    assert accuracy == trained.results["accuracy"] > 0.8
    assert processed.results["wines_aside"] / (
        processed.results["learning_wines"] + processed.results["wines_aside"]
    ) == (pytest.approx(0.4, abs=0.02))
    assert trained.parameters["measurements"] == processed.results["measurements"]
    assert type(trained.parameters["max_steps"]) is int
    assert joblib.load(step(tmp_path, "train") / "model").n_features_in_ == 13


def test_housing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served("housing_endpoint", tmp_path, monkeypatch, houses=4_000) as endpoint:
        prepared, trained = (record(step(tmp_path / "runs", name)) for name in ("prepare", "train"))
        folder = step(tmp_path / "runs", "train") / "model"
        described = json.loads((folder / "inputs.json").read_text())
        first, larger = endpoint.predict(houses=[described["medians"], described["medians"] | {"area_m2": 400.0}])
    assert prepared.results == {"training_houses": 320, "testing_houses": 80}
    assert trained.results["mean_absolute_error"] < trained.results["naive_error"] / 1.5
    import xgboost

    model = xgboost.XGBRegressor()
    model.load_model(folder / "model.json")
    assert model.n_features_in_ == len(described["features"]) == 6
    median = model.predict([list(described["medians"].values())])[0]
    assert median > 10_000
    assert first == pytest.approx(float(median), abs=0.01)
    assert larger > first


def test_housing_stops_early_in_a_full_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_runs(tmp_path):
        error = example("housing", monkeypatch)(houses=2_000, learning_rate=0.3, develop_mode=False).output
    trained = record(step(tmp_path, "train"))
    assert trained.results["trees"] < 1_000
    assert trained.results["mean_absolute_error"] == error


def test_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served("digits_endpoint", tmp_path, monkeypatch, train_steps=150) as endpoint:
        zero = [[255 if 6 <= ((x - 16) ** 2 + (y - 16) ** 2) ** 0.5 <= 11 else 0 for x in range(32)] for y in range(32)]
        read = endpoint.predict(image=zero)
        with pytest.raises(CellFailedError, match="nothing is drawn"):
            endpoint.predict(image=[[0] * 32] * 32)
    trained, judged = (record(step(tmp_path / "runs", name)) for name in ("train", "evaluate"))
    assert trained.results["steps"] == 150
    assert judged.results["accuracy"] > 0.85
    assert judged.results["digits"] == 450
    assert judged.parameters["model_path"] == str(step(tmp_path / "runs", "train") / "model")
    assert read["digit"] == 0
    assert sum(read["probabilities"].values()) == pytest.approx(1, abs=0.01)


def test_a_model_that_reads_badly_fails_the_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_runs(tmp_path), pytest.raises(RuntimeError, match="evaluate"):
        example("digits", monkeypatch)(train_steps=1)
    assert "less than 80%" in (step(tmp_path, "evaluate") / "output.html").read_text()


def test_the_place_of_digits_is_data() -> None:
    def place(profile: str) -> tuple[str, Any]:
        spec, platform = compiled("digits", NBSTEP_PROFILE=profile)
        arguments = spec["deploymentSpec"]["executors"]["exec-train"]["container"]["args"]
        plan = json.loads(arguments[arguments.index("--plan") + 1])
        return plan["runs"], platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]

    bucket, pod = place("gcp")
    assert bucket == "gs://my-bucket/digits/runs"
    assert "pvcMount" not in pod
    folder, pod = place("on-premises")
    assert folder == "/pvc/digits/runs"
    assert pod["pvcMount"][0]["mountPath"] == "/pvc/digits"


@pytest.mark.server
def test_classifiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ssh_server: SshServer) -> None:
    with local_runs(tmp_path / "runs"):
        example("classifiers", monkeypatch)(
            model_uri=ssh_server.uri() + "models",
            known_hosts=str(ssh_server.known_hosts),
            identity_file=str(ssh_server.identity_file),
        )
    done = record(step(tmp_path / "runs", "train"))
    sent = ssh_server.root / "models"
    assert {path.name for path in sent.iterdir()} == {"clf_lda.joblib", "clf_nn.joblib", "metadata.json"}
    scores = json.loads((sent / "metadata.json").read_text())["scores"]
    assert scores["clf_lda"]["cross_validated_accuracy"] == done.results["lda_accuracy"] > 0.9
    assert joblib.load(sent / "clf_nn.joblib").n_features_in_ == 30


def first_code(page: str) -> str:
    """The first indented block of a page."""
    block = re.search(r"(?:^    .*\n|^\n(?=    ))+", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    assert block is not None
    return textwrap.dedent(block[0])


def test_the_code_on_the_page_of_chains_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    monkeypatch.chdir(tmp_path)
    done = runpy.run_path(str(written(tmp_path, first_code("chains.md"))))["done"]
    assert done["prepare"].record.results["training_houses"] == 320
    assert (Path(done["train"].outputs["model"]) / "model.json").is_file()


def test_the_code_on_the_page_of_pipelines_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = "bucket: str\ndevelop_mode: bool = True\ndata_path: str = 'd'"
    train = "data: str\nmodel_path: str = 'm'"
    for name, cell in {"prepare": prepare, "train": train}.items():
        notebooks.write(tmp_path / f"notebooks/{name}.ipynb", [notebooks.Code(cell, ("parameters",))])
    monkeypatch.chdir(tmp_path)
    pipeline = runpy.run_path(str(written(tmp_path, first_code("pipelines.md"))), {"IMAGE": "image:1"})["flights"]
    assert set(pipeline.pipeline_spec.root.dag.tasks) == {"prepare", "train"}


def written(folder: Path, code: str) -> Path:
    file = folder / "page.py"
    file.write_text(code)
    return file
