"""An endpoint as a step, from inside of its container: what it reads of the engine's message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nbstep.endpoints.step import artifact_places, serve_step
from nbstep.profiles import Profile
from nbstep.profiles.exposure import ServedStep
from nbstep_runner.contract import Slot, StepSpec
from nbstep_runner.errors import BadInputError
from nbstep_runner.kfp_adapter.executor_input import ExecutorInput, read_executor_input

PLAN = StepSpec(name="prices", digest="sha256:0", inputs={"model": Slot(parameter="model_uri")})


def message(*uris: str, outputs: dict[str, object] | None = None) -> ExecutorInput:
    artifacts = {"model": {"artifacts": [{"name": "model", "uri": uri} for uri in uris]}}
    told = {"inputs": {"artifacts": artifacts}, "outputs": {"outputFile": "/tmp/o.json", **(outputs or {})}}  # noqa: S108 - only a name
    return read_executor_input(json.dumps(told))


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("gs://bucket/root/model", "gs://bucket/root/model"),
        ("s3://bucket/model", "s3://bucket/model"),
        ("minio://mlpipeline/v2/artifacts/model", "s3://mlpipeline/v2/artifacts/model"),
        ("/srv/model", "/srv/model"),
        ("outputs/model", str(Path("outputs/model").absolute())),
        ("file:///srv/model", "/srv/model"),
    ],
)
def test_an_artifact_is_told_by_where_it_lies_for_everybody(uri: str, place: str) -> None:
    assert artifact_places(PLAN, message(uri)) == {"model_uri": place}


def test_several_artifacts_of_one_name_are_a_list() -> None:
    assert artifact_places(PLAN, message("gs://b/1", "gs://b/2")) == {"model_uri": ["gs://b/1", "gs://b/2"]}


def test_an_engine_that_asks_for_no_url_starts_nothing() -> None:
    with pytest.raises(BadInputError, match="no place for the URL"):
        serve_step(PLAN, ServedStep(name="prices", profile=Profile()), message("gs://b/m"), None)


def test_a_pipeline_of_another_notebook_starts_nothing(tmp_path: Path) -> None:
    outputs = {"parameters": {"url": {"outputFile": str(tmp_path / "url")}}}
    told = {"inputs": {"parameterValues": {"notebook_digest": "sha256:1"}}, "outputs": {"outputFile": "o", **outputs}}
    with pytest.raises(BadInputError, match="was compiled from sha256:0"):
        serve_step(PLAN, ServedStep(name="prices", profile=Profile()), read_executor_input(json.dumps(told)), None)
    assert not (tmp_path / "url").exists()
