"""Components and pipelines as kfp itself reads them."""

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import compiler, components, dsl
from kfp.local.cache import LocalCache
from kfp.pipeline_spec import pipeline_spec_pb2

from nbstep.profiles import Profile, load_profile
from nbstep.steps.component import component_ir, component_yaml
from nbstep.steps.kfp import component_of, notebook_step, place
from nbstep_runner.errors import BadInputError
from support import notebooks, steps


def compiled(folder: Path, pipeline: Any) -> list[dict[str, Any]]:
    place = folder / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(place))
    return list(yaml.safe_load_all(place.read_text()))


def test_a_component_is_a_pipeline_spec_that_kfp_loads(tmp_path: Path) -> None:
    step = steps.train_step(tmp_path, inputs={"data": "Dataset"})
    json_format.ParseDict(component_ir(step), pipeline_spec_pb2.PipelineSpec())
    loaded = components.load_component_from_text(component_yaml(step))
    spec = loaded.component_spec
    assert {name: str(one.type) for name, one in spec.inputs.items()} == {
        "data": "system.Dataset@0.0.1",
        "rows": "Integer",
        "columns": "List",
        "fail": "Boolean",
        "notebook_digest": "String",
    }
    assert sorted(loaded.required_inputs) == ["data", "rows"]
    assert spec.outputs["rmse"].type == "Float"
    assert spec.outputs["model"].type == "system.Model@0.0.1"


def test_kfp_writes_the_component_as_we_do(tmp_path: Path) -> None:
    step = steps.train_step(tmp_path, inputs={"data": "Dataset"})
    (theirs,) = compiled(tmp_path, component_of(step))
    ours = json_format.ParseDict(component_ir(step), pipeline_spec_pb2.PipelineSpec())
    parsed = json_format.ParseDict(theirs, pipeline_spec_pb2.PipelineSpec())
    parsed.sdk_version = ours.sdk_version
    assert parsed == ours


def test_data_and_results_of_one_step_are_inputs_of_the_next(tmp_path: Path) -> None:
    (spec,) = compiled(tmp_path, steps.pipeline(steps.prepare_step(tmp_path), steps.train_step(tmp_path)))
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    task = spec["root"]["dag"]["tasks"]["train"]
    assert task["dependentTasks"] == ["prepare"]
    producer = {"outputArtifactKey": "data", "producerTask": "prepare"}
    assert task["inputs"]["artifacts"] == {"data": {"taskOutputArtifact": producer}}
    assert task["inputs"]["parameters"]["rows"]["taskOutputParameter"]["outputParameterKey"] == "rows"


def test_an_order_without_data_and_resources_are_kfps_own(tmp_path: Path) -> None:
    prepare = steps.prepare_step(tmp_path)

    @dsl.pipeline
    def twice() -> None:
        first = prepare()
        prepare().after(first).set_memory_limit("2G").set_cpu_limit("1")

    (spec,) = compiled(tmp_path, twice)
    assert spec["root"]["dag"]["tasks"]["prepare-2"]["dependentTasks"] == ["prepare"]
    containers = [one["container"] for one in spec["deploymentSpec"]["executors"].values()]
    assert [one.get("resources", {}).get("memoryLimit") for one in containers] == [None, 2.0]


def test_wrong_arguments_are_refused_while_compiling(tmp_path: Path) -> None:
    prepare = steps.prepare_step(tmp_path)

    def misspelt() -> None:
        prepare(row=3)

    with pytest.raises(BadInputError, match="takes no parameter 'row'") as caught:
        dsl.pipeline(misspelt)
    assert caught.value.hint == "Did you mean 'rows'?"


def test_an_output_that_there_is_not_is_named_while_compiling(tmp_path: Path) -> None:
    prepare = steps.prepare_step(tmp_path)

    def misspelt() -> None:
        prepare(rows=prepare().outputs["row"])

    with pytest.raises(BadInputError, match="the step has no output 'row'") as caught:
        dsl.pipeline(misspelt)
    assert "rows" in caught.value.hint


def cache_key(folder: Path, source: str) -> str:
    """The key under which kfp's local cache keeps a step's outputs."""
    path = notebooks.write(folder / "n.ipynb", [notebooks.Code("x: int = 1", ("parameters",)), source])
    (spec,) = compiled(folder, component_of(notebook_step(path, image="image:1")))
    container = spec["deploymentSpec"]["executors"]["exec-n"]["container"]
    defaults = {name: one.get("defaultValue") for name, one in spec["root"]["inputDefinitions"]["parameters"].items()}
    command = [*container["command"], *container["args"]]
    return LocalCache(str(folder)).compute_key("n", container["image"], command, defaults)


def test_a_changed_notebook_has_another_cache_key(tmp_path: Path) -> None:
    assert cache_key(tmp_path, "print(x)") == cache_key(tmp_path, "print(x)")
    assert cache_key(tmp_path, "print(x)") != cache_key(tmp_path, "print(x + 1)")


PROFILE = {
    "retries": 2,
    "resources": {"cpu": "500m", "cpu_limit": 2, "memory": "4Gi", "gpu": 1, "shared_memory": "1Gi"},
    "labels": {"team": "digits"},
    "env": {
        "MODE": "fast",
        "TOKEN": {"secret": "keys", "key": "token"},
        "ZONE": {"config_map": "places", "key": "zone"},
    },
    "kubernetes": {
        "claims": {"digits": {}},
        "secrets": {"model-server": {"path": "/secrets/model-server"}},
        "config_maps": {"settings": {"path": "/settings"}},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "node_selector": {"pool": "gpu"},
        "pull_secrets": ["registry"],
        "run_as_user": 1000,
        "annotations": {"note": "x"},
    },
}


def placed(folder: Path, profile: Profile | str, **overrides: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The container and the executor's platform configuration of a step at a profile."""
    prepare = steps.prepare_step(folder)

    @dsl.pipeline
    def one() -> None:
        place(prepare(), profile, **overrides)

    spec, platform = compiled(folder, one)
    container: dict[str, Any] = spec["deploymentSpec"]["executors"]["exec-prepare"]["container"]
    pods: dict[str, Any] = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-prepare"]
    retry = spec["root"]["dag"]["tasks"]["prepare"].get("retryPolicy", {})
    return container | {"retry": retry}, pods


def test_a_profile_places_a_task_as_it_places_a_run(tmp_path: Path) -> None:
    container, pod = placed(tmp_path, load_profile(None, PROFILE))
    resources = container["resources"]
    assert (resources["resourceCpuRequest"], resources["resourceCpuLimit"]) == ("500m", "2")
    assert (resources["resourceMemoryRequest"], resources["resourceMemoryLimit"]) == ("4Gi", "4Gi")
    assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert container["env"] == [{"name": "MODE", "value": "fast"}]
    assert container["retry"]["maxRetryCount"] == 2
    assert pod["pvcMount"][0]["mountPath"] == "/pvc/digits"
    assert pod["secretAsVolume"][0]["mountPath"] == "/secrets/model-server"
    assert pod["configMapAsVolume"][0]["mountPath"] == "/settings"
    assert pod["secretAsEnv"][0]["keyToEnv"] == [{"envVar": "TOKEN", "secretKey": "token"}]
    assert pod["configMapAsEnv"][0]["keyToEnv"] == [{"configMapKey": "zone", "envVar": "ZONE"}]
    assert pod["tolerations"] == [{"effect": "NoSchedule", "key": "gpu", "operator": "Exists"}]
    assert pod["nodeSelector"]["labels"] == {"pool": "gpu"}
    assert pod["imagePullSecret"][0]["secretName"] == "registry"
    assert pod["securityContext"]["runAsUser"] == "1000"
    assert pod["podMetadata"] == {"annotations": {"note": "x"}, "labels": {"team": "digits"}}
    assert pod["emptyDirMounts"][0]["mountPath"] == "/dev/shm"  # noqa: S108 - Linux's name for shared memory


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kubernetes": {"claims": {"digits": {"read_only": True}}}}, "digits read-only"),
        ({"kubernetes": {"secrets": {"keys": {"path": "/keys", "items": {"a": "b"}}}}}, "some items of keys"),
        ({"kubernetes": {"config_maps": {"settings": {"path": "/s", "items": {"a": "b"}}}}}, "some items of settings"),
        ({"kubernetes": {"runtime_class": "gvisor"}}, "runtime_class: gvisor"),
        ({"resources": {"disk": "5Gi"}}, "resources: disk 5Gi"),
    ],
)
def test_a_bound_that_kfp_does_not_keep_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        placed(tmp_path, load_profile(None, options))


def test_a_profile_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "profiles.yaml").write_text("profiles:\n  big: {resources: {memory: 8Gi}}\n")
    monkeypatch.setenv("NBSTEP_PROFILES", str(tmp_path / "profiles.yaml"))
    container, _ = placed(tmp_path, "big", resources={"cpu": "1"})
    assert container["resources"]["resourceMemoryLimit"] == "8Gi"
    assert container["resources"]["resourceCpuRequest"] == "1"


def test_the_calls_own_values_go_over_a_profile(tmp_path: Path) -> None:
    profile = load_profile(None, {"resources": {"memory": "4Gi", "cpu": 2}})
    container, _ = placed(tmp_path, profile, resources={"memory": "8Gi"})
    assert container["resources"]["resourceMemoryLimit"] == "8Gi"
    assert container["resources"]["resourceCpuRequest"] == "2"


@pytest.mark.fault(69)
@pytest.mark.parametrize("value", ["{{workflow.name}}", "a$$b", "$(KFP_POD_NAME)"])
def test_a_variable_that_the_engine_would_change_is_refused(tmp_path: Path, value: str) -> None:
    prepare = steps.prepare_step(tmp_path)

    def placed() -> None:
        place(prepare(), Profile(env={"TEMPLATE": value}))

    with pytest.raises(BadInputError, match="the environment variable TEMPLATE holds the text"):
        dsl.pipeline(placed)


def test_labels_are_those_that_a_pod_can_have(tmp_path: Path) -> None:
    _, platform = placed(tmp_path, Profile(labels={"team": "flights", "owner": "somebody else", "run": "{{x}}"}))
    assert platform["podMetadata"]["labels"] == {"team": "flights"}


@pytest.mark.fault(69)
def test_a_text_around_another_steps_output_has_to_pass_the_engine_too(tmp_path: Path) -> None:
    prepare = steps.prepare_step(tmp_path)

    def passing() -> None:
        first = prepare()
        prepare(name=f"of {first.outputs['rows']} rows in {{name}}")

    def replaced() -> None:
        first = prepare()
        prepare(name=f"of {first.outputs['rows']} rows in {{{{workflow.name}}}}")

    dsl.pipeline(passing)
    with pytest.raises(BadInputError, match=r"holds the text '\{\{workflow.name\}\}', which Argo replaces"):
        dsl.pipeline(replaced)


@pytest.mark.fault(70)
def test_steps_of_a_pipeline_are_added_up_while_it_is_defined(tmp_path: Path) -> None:
    noise = "# " + random.Random(1).randbytes(26_000).hex()  # noqa: S311 - text that does not compress
    path = notebooks.write(tmp_path / "large.ipynb", [notebooks.Code("x: int = 1", ("parameters",)), noise])
    large = notebook_step(path, image="image:1")

    def looped() -> None:
        with dsl.ParallelFor([1, 2, 3, 4]) as item:
            large(x=item)

    def several() -> None:
        for number in range(4):
            large(x=number)

    for defined in (looped, several):
        with pytest.raises(BadInputError, match="that Argo can store; most of it is step large"):
            dsl.pipeline(defined)


def test_any_default_compiles(tmp_path: Path) -> None:
    cell = """from typing import Literal
a: tuple[int, str] = (1, 'x')
b = (1, 2)
c: dict = {1: 'a'}
d: list = [None, 1.0]
e: dict = {'a': None}
f: Literal['a', 'b'] = 'a'
g: float = float('nan')
h: str = '{{inputs.parameters.name}} 🎉'
i: list = ['$$']
j: int = 2**70
k: dict[str, list[float]] = {'a': [1.5]}
"""
    path = notebooks.write(tmp_path / "odd.ipynb", [notebooks.Code(cell, ("parameters",)), "1"])
    one = notebook_step(path, image="image:1")

    def odd() -> None:
        one()

    (spec,) = compiled(tmp_path, dsl.pipeline(odd))
    inputs = spec["components"]["comp-odd"]["inputDefinitions"]["parameters"]
    told = {name: value["defaultValue"] for name, value in inputs.items() if "defaultValue" in value}
    assert {name for name in told if len(name) == 1} == {"f", "k"}
    assert {value["parameterType"] for name, value in inputs.items() if name == "f"} == {"STRING"}


@pytest.mark.fault(70)
@pytest.mark.parametrize(
    ("length", "told"), [(130_000, "the values of step n take 130"), (118_000, "that Argo can store")]
)
def test_a_text_that_is_too_large_for_kfp_is_refused_when_it_is_given(tmp_path: Path, length: int, told: str) -> None:
    path = notebooks.write(tmp_path / "n.ipynb", [notebooks.Code("text: str = ''", ("parameters",))])
    step = notebook_step(path, image="image:1", html=False)
    text = random.Random(1).randbytes(length // 2).hex()  # noqa: S311 - text that does not compress

    def given() -> None:
        step(text=text)

    with pytest.raises(BadInputError, match=told):
        dsl.pipeline(given)


def test_runs_in_the_workspace_ask_kfp_for_it(tmp_path: Path) -> None:
    prepare = steps.prepare_step(tmp_path, runs=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/runs")

    def kept() -> None:
        prepare()

    with pytest.raises(ValueError, match=r"PipelineConfig\.workspace\.size"):
        dsl.pipeline(kept)
    config = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi"))
    spec = compiled(tmp_path, dsl.pipeline(pipeline_config=config)(kept))[0]
    given = spec["root"]["dag"]["tasks"]["prepare"]["inputs"]["parameters"]["notebook_runs"]
    assert given == {"runtimeValue": {"constant": "{{$.workspace_path}}/runs"}}
