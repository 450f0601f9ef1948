"""``nbstep compile`` as people type it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2

from support import notebooks, steps

pytestmark = pytest.mark.slow

NBSTEP = str(Path(sys.executable).with_name("nbstep"))
PIPELINE = """
from pathlib import Path

from kfp import dsl

from nbstep.steps.kfp import notebook_step

train = notebook_step(Path(__file__).with_name("train.ipynb"), image="image:1", results={{"rmse": float}})


@dsl.pipeline
def first(data: str) -> float:
    return train({arguments}).outputs["rmse"]
"""


def compile_(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NBSTEP, "compile", *arguments], capture_output=True, text=True, check=False, cwd=cwd, timeout=60
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    notebooks.write(tmp_path / "train.ipynb", steps.TRAIN)
    return tmp_path


def test_a_notebook_becomes_a_component(folder: Path) -> None:
    options = ("--image", "image:1", "--input", "data=Dataset", "--result", "rmse=float", "--artifact", "model=Model")
    done = compile_("train.ipynb", "-o", "out/component.yaml", *options, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote out/component.yaml\n", "")
    loaded = components.load_component_from_file(str(folder / "out/component.yaml"))
    assert {name: str(one.type) for name, one in loaded.component_spec.outputs.items()} == {
        "notebook": "system.Artifact@0.0.1",
        "html": "system.HTML@0.0.1",
        "metrics": "system.Metrics@0.0.1",
        "model": "system.Model@0.0.1",
        "rmse": "Float",
    }


WITHOUT_US = """
import sys
sys.modules["nbstep"] = sys.modules["nbstep_runner"] = None
from kfp import compiler, components, dsl

train = components.load_component_from_file("train.yaml")

@dsl.pipeline
def alone(rows: int = 3) -> float:
    data = dsl.importer(artifact_uri="gs://bucket/data", artifact_class=dsl.Dataset)
    return train(data=data.output, rows=rows, columns=[1]).set_retry(2).outputs["rmse"]

compiler.Compiler().compile(alone, "alone.yaml")
"""


def test_a_component_is_used_without_our_package(folder: Path) -> None:
    options = ("--image", "image:1", "--input", "data=Dataset", "--result", "rmse=float", "--artifact", "model=Model")
    assert compile_("train.ipynb", "-o", "train.yaml", *options, cwd=folder).returncode == 0
    subprocess.run([sys.executable, "-W", "ignore", "-c", WITHOUT_US], cwd=folder, check=True, timeout=60)
    document = yaml.safe_load((folder / "alone.yaml").read_text())
    spec = json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
    executors = json_format.ParseDict(
        document["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()
    ).executors
    assert list(executors["exec-train"].container.command) == ["nbstep-runner", "kfp-step"]
    assert spec.root.dag.tasks["train"].retry_policy.max_retry_count == 2


def test_without_an_output_it_is_printed(folder: Path) -> None:
    done = compile_("train.ipynb", "--image", "image:1", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    json_format.ParseDict(yaml.safe_load(done.stdout), pipeline_spec_pb2.PipelineSpec())


def test_a_pipeline_is_compiled(folder: Path) -> None:
    (folder / "flow.py").write_text(PIPELINE.format(arguments="data=data, rows=3"))
    done = compile_("--pipeline", "flow.py", "-o", "flow.yaml", cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote flow.yaml\n", "")
    spec = yaml.safe_load((folder / "flow.yaml").read_text())
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    assert spec["root"]["dag"]["tasks"]["train"]["inputs"]["parameters"]["rows"] == {"runtimeValue": {"constant": 3.0}}


def test_a_pipelines_file_may_be_named_as_a_module_and_hold_dataclasses(folder: Path) -> None:
    places = "@dataclasses.dataclass\nclass Place:\n    bucket: 'str' = 'b'\n"
    head = "from __future__ import annotations\nimport dataclasses, json, yaml\n"
    (folder / "flow.py").write_text(PIPELINE.format(arguments="data=data, rows=3"))
    (folder / "places.py").write_text(head + places)
    (folder / "yaml.py").write_text("import dataclasses, places\n" + places + (folder / "flow.py").read_text())
    (folder / "typed.py").write_text(head + places + "from flow import first\n")
    for file in ("typed.py", "yaml.py"):
        done = compile_("--pipeline", file, cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
        assert yaml.safe_load(done.stdout)["pipelineInfo"]["name"] == "first"


@pytest.mark.parametrize(
    ("arguments", "code", "stderr"),
    [
        ((), 2, "Error: Give a NOTEBOOK or --pipeline FILE.\n"),
        (("train.ipynb",), 2, "Error: Missing option '--image'.\n"),
        (("train.ipynb", "--image", "i:1", "--result", "rmse"), 2, "'rmse' is not NAME=TYPE"),
        (
            ("train.ipynb", "--image", "i:1", "--result", "rmse=flaot"),
            65,
            "nbstep: the result rmse cannot be of type flaot\nUse one of int, float, bool, str, list, dict.\n",
        ),
        (("train.ipynb", "--image", "i:1", "--artifact", "table=Dataset"), 65, "takes the place of the artifact table"),
        (("absent.ipynb", "--image", "i:1"), 66, "absent.ipynb"),
        (("train.ipynb", "--image", "i:1", "-o", "train.ipynb/x.yaml"), 75, "cannot be written"),
        (("--pipeline", "absent.py"), 66, "nbstep: there is no file absent.py\n"),
        (("--pipeline", "flow.py", "--image", "i:1"), 2, "--pipeline takes no --image"),
        (("--pipeline", "flow.py:second"), 65, "defines no pipeline 'second'\nName one: flow.py:first."),
        (("--pipeline", "wrong.py"), 65, "takes no parameter 'row'\nDid you mean 'rows'?\n"),
        (("--pipeline", "broken.py"), 65, "broken.py cannot be imported: ZeroDivisionError: division by zero\n"),
        (("--pipeline", "leaves.py"), 65, "leaves.py cannot be imported: SystemExit: 0\n"),
        (("--pipeline", "empty.py"), 65, "empty.py defines 0 pipelines (none)\nPut @dsl.pipeline above"),
    ],
)
def test_mistakes_are_explained(folder: Path, arguments: tuple[str, ...], code: int, stderr: str) -> None:
    (folder / "flow.py").write_text(PIPELINE.format(arguments="data=data, rows=3"))
    (folder / "wrong.py").write_text(PIPELINE.format(arguments="data=data, row=3"))
    (folder / "broken.py").write_text("1 / 0")
    (folder / "leaves.py").write_text("import sys\nsys.exit(0)")
    (folder / "empty.py").write_text("")
    done = compile_(*arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (code, "")
    assert stderr in done.stderr
    assert "Traceback" not in done.stderr
