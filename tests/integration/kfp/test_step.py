"""One step as its container starts it: what engines that retry blindly, stop or lose a disk get."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nbstep.profiles import Profile
from nbstep.steps import NotebookStep, notebook_step
from nbstep.steps.component import component_ir, step_arguments
from nbstep_runner.contract import Deadlines, StepSpec, StorageOptions, decode, encode
from servers.fixtures import new_name
from servers.s3 import S3Server
from support import notebooks

RUNNER = str(Path(sys.executable).with_name("nbstep-runner"))
SOURCE = "import os\nwith open(os.environ['COUNTER'], 'a') as file:\n    file.write('x')\n"


def step(folder: Path, source: str, **options: Any) -> NotebookStep:
    cells: list[str | notebooks.Code] = [notebooks.Code("model_path: str = 'm'", ("parameters",)), SOURCE + source]
    path = notebooks.write(folder / "work.ipynb", cells)
    usual: dict[str, Any] = {"artifacts": {"model": "Model"}, "runs": str(folder / "runs"), "html": False}
    return notebook_step(path, **usual | options)


def command(one: NotebookStep, disk: Path) -> list[str]:
    """The step's command line as KFP's launcher starts it."""
    places = {
        name: {"artifacts": [{"name": name, "uri": str(disk / name)}]} for name in ("model", "notebook", "metrics")
    }
    message = {"outputs": {"outputFile": str(disk / "executor_output.json"), "artifacts": places}}
    return [RUNNER, "kfp-step", "--executor-input", json.dumps(message), *step_arguments(one)]


def attempt(one: NotebookStep, folder: Path, disk: Path) -> tuple[int, int, str]:
    """One attempt on a disk of its own, as a pod has one: exit code, how often the cell has run by now, the log."""
    counter = folder / "counter"
    done = subprocess.run(
        command(one, disk),
        env=os.environ | {"COUNTER": str(counter)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, len(counter.read_text()) if counter.exists() else 0, done.stdout + done.stderr


def test_a_retry_of_a_permanent_failure_runs_no_cell(tmp_path: Path) -> None:
    one, disk = step(tmp_path, "raise ValueError('no')"), tmp_path / "disk"
    assert attempt(one, tmp_path, disk)[:2] == (10, 1)
    shutil.rmtree(disk)
    began = time.monotonic()
    code, times, log = attempt(one, tmp_path, disk)
    assert (code, times) == (10, 1), log
    assert "its record answers" in log
    assert time.monotonic() - began < 50
    assert "no" in json.loads((disk / "notebook").read_text())["cells"][-1]["outputs"][-1]["evalue"]


def test_a_retry_of_a_success_whose_files_are_lost_makes_them_again(tmp_path: Path) -> None:
    one, disk = step(tmp_path, "open(model_path, 'w').write('7')"), tmp_path / "disk"
    assert attempt(one, tmp_path, disk)[:2] == (0, 1)
    assert attempt(one, tmp_path, disk)[:2] == (0, 1)
    shutil.rmtree(disk)
    assert attempt(one, tmp_path, disk)[:2] == (0, 2)
    assert (disk / "model").read_text() == "7"


def test_the_runner_keeps_the_run_where_it_is_told_to(tmp_path: Path) -> None:
    one = step(tmp_path, "raise ValueError('no')")
    attempt(one, tmp_path, tmp_path / "disk")
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("work-")
    kept = {path.name for path in run.iterdir()}
    assert {"output.ipynb", "output.result.json", "output.log.jsonl"} <= kept


def test_a_declared_artifact_that_is_not_written_is_a_failure(tmp_path: Path) -> None:
    code, times, log = attempt(step(tmp_path, "pass"), tmp_path, tmp_path / "disk")
    assert (code, times) == (65, 2), log
    assert "did not write the artifact model" in log


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--plan", "{}", "--executor-input", "{}"], 65, "not a valid StepSpec"),
        (
            ["--plan", '{"name": "n", "digest": "d"}', "--executor-input", "{{$}}"],
            65,
            "the executor input is not KFP's",
        ),
        (["--plan", '{"name": "n", "digest": "d"}'], 2, "Give --executor-input or --executor-input-file."),
        (["--executor-input", "{}"], 2, "Missing option '--plan'"),
    ],
)
def test_a_damaged_component_is_explained(arguments: list[str], code: int, message: str) -> None:
    done = subprocess.run([RUNNER, "kfp-step", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_kfp_is_not_imported_in_a_step(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['nbstep-runner', 'kfp-step', '--help']\n"
        "import nbstep_runner.kfp_adapter.command\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'kfp', 'nbstep', 'google', 'papermill'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[]\n"


def test_a_stopped_step_delivers_what_it_has(tmp_path: Path) -> None:
    one = step(tmp_path, "import time\nprint('at work')\ntime.sleep(600)")
    environment = os.environ | {"COUNTER": str(tmp_path / "counter")}
    with subprocess.Popen(
        command(one, tmp_path / "disk"), env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("at work" in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 143
    delivered = json.loads((tmp_path / "disk/notebook").read_text())
    assert "at work" in str(delivered["cells"][-1]["outputs"])
    about = json.loads((tmp_path / "disk/executor_output.json").read_text())["artifacts"]["notebook"]["artifacts"][0]
    assert about["metadata"]["state"] == "cancelled"


def test_a_secret_reaches_the_notebook_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEP_PASSWORD", "correct-horse")
    cells: list[str | notebooks.Code] = [
        notebooks.Code("model_path: str = 'm'\npassword: str = ''", ("parameters",)),
        "assert len(password) == 13\nprint(password)\nopen(model_path, 'w').write('7')",
    ]
    path = notebooks.write(tmp_path / "work.ipynb", cells)
    fixed = {"password": {"secret": "env:STEP_PASSWORD"}}
    one = notebook_step(path, values=fixed, artifacts={"model": "Model"}, runs=str(tmp_path / "runs"))
    code, _, log = attempt(one, tmp_path, tmp_path / "disk")
    assert code == 0, log
    written = [file for file in tmp_path.rglob("*") if file.is_file() and file != path]
    assert [file for file in written if b"correct-horse" in file.read_bytes()] == []
    assert "correct-horse" not in log


@pytest.mark.server
def test_notebook_and_run_can_be_in_a_bucket(tmp_path: Path, gcs_folder: str) -> None:
    one = step(tmp_path, "raise ValueError('no')", runs=f"{gcs_folder}runs", upload_to=f"{gcs_folder}notebooks")
    assert one.place is not None
    assert one.place.startswith("gs://")
    disk = tmp_path / "disk"
    assert attempt(one, tmp_path, disk)[:2] == (10, 1)
    shutil.rmtree(disk)
    code, times, log = attempt(one, tmp_path, disk)
    assert (code, times) == (10, 1), log
    assert json.loads((disk / "notebook").read_text())["cells"][-1]["outputs"][-1]["evalue"] == "no"


@pytest.mark.parametrize("told", ["environment", "options"])
def test_storage_options_hold_for_what_the_step_fetches_and_delivers(
    tmp_path: Path, s3_server: S3Server, told: str
) -> None:
    """The notebook, the executed notebook and the page are on a server that only the runner's options name."""
    bucket = new_name()
    s3_server.make_bucket(bucket)
    source = notebooks.write(tmp_path / "work.ipynb", ["print('on s3')"]).read_bytes()
    s3_server.client().put_object(Bucket=bucket, Key="work.ipynb", Body=source)
    plan = StepSpec(
        name="work",
        digest=f"sha256:{hashlib.sha256(source).hexdigest()}",
        source=f"s3://{bucket}/work.ipynb",
        runs=f"s3://{bucket}/runs",
    )
    names = ("notebook", "html", "metrics")
    places = {name: {"artifacts": [{"name": name, "uri": str(tmp_path / name)}]} for name in names}
    message = {"outputs": {"outputFile": str(tmp_path / "disk/executor_output.json"), "artifacts": places}}
    environment = s3_server.environment()
    endpoint = environment.pop("AWS_ENDPOINT_URL_S3")
    options = ["--", "--endpoint-url", endpoint] if told == "options" else []
    done = subprocess.run(
        [RUNNER, "kfp-step", "--executor-input", json.dumps(message), "--plan", encode(plan).decode(), *options],
        env=os.environ | environment | ({} if options else {"NBSTEP_ENDPOINT_URL": endpoint}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    executed = json.loads((tmp_path / "notebook").read_text())
    assert executed["cells"][0]["outputs"][0]["text"] == ["on s3\n"]
    assert "on s3" in (tmp_path / "html").read_text()


@pytest.mark.fault(68)
def test_each_attempt_of_a_retrying_engine_is_the_next_of_one_run(tmp_path: Path) -> None:
    """KFP's launcher writes the attempt into the place of the logs that it keeps; the pod is named in the record."""
    one = step(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    kinds = [pod_attempt(one, tmp_path, number) for number in range(2)]
    assert kinds == [(12, 1), (12, 2)]
    (run,) = (tmp_path / "runs").iterdir()
    record = json.loads((run / "output.result.json").read_text())
    assert (record["attempt"], record["environment"]["pod"]) == (2, "work-1")
    log = (run / "output.log.jsonl").read_text()
    assert "in pod work-1, 1 retries of its engine before it" in log
    status = [RUNNER.replace("nbstep-runner", "nbstep"), "status", run.name, "--runs", str(tmp_path / "runs")]
    told = subprocess.run(status, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "ended with 12 in pod work-1; the pod itself says 1" in told


def pod_attempt(one: NotebookStep, folder: Path, number: int) -> tuple[int, int]:
    """One attempt as a retried pod makes it, on a new disk: exit code, and the attempt in the record."""
    disk = folder / "disk"
    shutil.rmtree(disk, ignore_errors=True)
    arguments = command(one, disk)
    message = json.loads(arguments[3])
    logs = {"name": "executor-logs", "uri": f"minio://bucket/executor-logs-{number}"}
    message["outputs"]["artifacts"]["executor-logs"] = {"artifacts": [logs]}
    arguments[3] = json.dumps(message)
    told = {"COUNTER": str(folder / "counter"), "KFP_POD_NAME": f"work-{number}", "KFP_RETRY_INDEX": str(number)}
    done = subprocess.run(arguments, env=os.environ | told, capture_output=True, check=False, timeout=60)
    (run,) = (folder / "runs").iterdir()
    return done.returncode, json.loads((run / "output.result.json").read_text())["attempt"]


def test_a_step_repeats_what_may_pass_by_itself(tmp_path: Path) -> None:
    killed = "if len(open(os.environ['COUNTER']).read()) < 3:\n    os.kill(os.getpid(), 9)\n"
    one = step(tmp_path, killed + "open(model_path, 'w').write('7')", retries=2)
    code, times, log = attempt(one, tmp_path, tmp_path / "disk")
    assert (code, times) == (0, 3), log
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "output.result.json").read_text())["attempt"] == 3
    assert "attempt ended with 12; the next begins in" in log


def test_a_step_repeats_nothing_that_cannot_pass(tmp_path: Path) -> None:
    one = step(tmp_path, "raise ValueError", retries=3)
    assert attempt(one, tmp_path, tmp_path / "disk")[:2] == (10, 1)


def test_no_attempt_begins_after_the_deadline(tmp_path: Path) -> None:
    one = step(tmp_path, "os.kill(os.getpid(), 9)", retries=3, deadlines=Deadlines(run=0.01))
    code, _, log = attempt(one, tmp_path, tmp_path / "disk")
    assert code in {11, 12}, log
    assert "the next begins" not in log


def test_a_compiled_step_stores_its_notebook_with_its_runs_as_the_profile_reaches_them(
    tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = new_name()
    s3_server.make_bucket(bucket)
    environment = s3_server.environment()
    profile = Profile(storage=StorageOptions(endpoint_url=environment.pop("AWS_ENDPOINT_URL_S3")))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    one = step(tmp_path, "open(model_path, 'w').write('7')", runs=f"s3://{bucket}/runs", profile=profile, image="i:1")
    arguments = component_ir(one)["deploymentSpec"]["executors"]["exec-work"]["container"]["args"]
    assert "--notebook" not in arguments
    plan = decode(arguments[arguments.index("--plan") + 1].encode(), StepSpec)
    assert plan.source is not None
    assert plan.source.startswith(f"s3://{bucket}/runs/.notebooks/")
    places = {
        name: {"artifacts": [{"name": name, "uri": str(tmp_path / name)}]} for name in ("model", "notebook", "metrics")
    }
    message = {"outputs": {"outputFile": str(tmp_path / "disk/executor_output.json"), "artifacts": places}}
    done = subprocess.run(
        [RUNNER, "kfp-step", "--executor-input", json.dumps(message), *arguments[2:]],
        env=os.environ | {"COUNTER": str(tmp_path / "counter")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "model").read_text() == "7"
