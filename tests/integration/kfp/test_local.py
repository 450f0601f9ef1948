"""Pipelines on this machine: what one step leaves the next one finds, and a failing step fails the pipeline."""

from __future__ import annotations

import builtins
import json
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from kfp.local import config, docker_task_handler, logging_utils

from nbstep.errors import ClusterUnavailableError
from nbstep.steps.kfp import component_of, local_runs, notebook_step
from nbstep_runner.contract import RunResult, decode
from servers.dockerd import Docker
from support import notebooks, steps

GIVEN = repr([5, "x", [3, 4], {"a": 1.0}, None, [5, "b"]])


def of_step(folder: Path, step: str) -> Path:
    """The folder of a step of the only run."""
    (found,) = folder.glob(f"*-*/{step}")
    return found


def record(folder: Path) -> RunResult:
    return decode((folder / "output.result.json").read_bytes(), RunResult)


def check_success(runs: Path, task: Any) -> None:
    assert task.output == 0.25
    prepared, trained = of_step(runs, "prepare"), of_step(runs, "train")
    assert record(prepared).results["given"] == GIVEN
    assert [type(value) for value in record(prepared).parameters["columns"]] == [int, int]
    assert record(trained).results["seen"] == 2
    assert (trained / "model/weights.txt").read_text() == "7"
    assert "weights.txt" in (trained / "html").read_text()
    metadata = json.loads((trained / "executor_output.json").read_text())["artifacts"]["metrics"]["artifacts"][0]
    assert metadata["metadata"] == {"seen": 2, "rmse": 0.25}


def check_failure(runs: Path) -> None:
    """The failed step's notebook and page are there and show why."""
    trained = of_step(runs, "train")
    assert record(trained).exit_code == 10
    cells = json.loads((trained / "notebook").read_text())["cells"]
    assert cells[-1]["outputs"][-1]["evalue"] == "no model today"
    assert "no model today" in (trained / "html").read_text()
    delivered = json.loads((trained / "executor_output.json").read_text())["artifacts"]
    assert set(delivered) == {"notebook", "html", "metrics"}
    assert delivered["notebook"]["artifacts"][0]["metadata"]["error"] == "cell-failed: " + record(trained).error.message  # type: ignore[union-attr]  # it failed, so it has an error


def test_values_types_and_artifacts_pass_from_step_to_step(folder: Path) -> None:
    pipeline = steps.pipeline(steps.prepare_step(folder), steps.train_step(folder))
    with local_runs(folder / "runs"):
        check_success(folder / "runs", pipeline(rows=5))


def test_a_failing_step_fails_the_pipeline_and_shows_why(folder: Path) -> None:
    pipeline = steps.pipeline(steps.prepare_step(folder), steps.train_step(folder))
    with local_runs(folder / "runs"), pytest.raises(RuntimeError, match=r"Inner task failed: .*train"):
        pipeline(rows=5, fail=True)
    check_failure(folder / "runs")


def test_kfp_is_as_it_was_afterwards(folder: Path) -> None:
    before = docker_task_handler.DockerTaskHandler, config.LocalExecutionConfig.instance
    with local_runs(folder):
        assert docker_task_handler.DockerTaskHandler is not before[0]
    assert (docker_task_handler.DockerTaskHandler, config.LocalExecutionConfig.instance) == before


def test_the_environment_reaches_every_step(folder: Path) -> None:
    path = notebooks.write(folder / "n.ipynb", ["import os\nassert os.environ['MODE'] == 'fast'"])
    with local_runs(folder / "runs", environment={"MODE": "fast"}):
        steps.alone(notebook_step(path, image="image:1", html=False))()
    assert record(of_step(folder / "runs", "n")).exit_code == 0


def test_equal_steps_are_cached_and_changed_notebooks_are_not(folder: Path) -> None:
    with local_runs(folder / "runs", cache=True):
        for source in ("print(1)", "print(1)", "print(2)"):
            path = notebooks.write(folder / "n.ipynb", [source])
            steps.alone(notebook_step(path, image="image:1", html=False))()
    assert len(list((folder / "runs").glob("*/n/output.result.json"))) == 2


def test_a_step_that_leaves_less_than_it_declares_fails(folder: Path) -> None:
    path = notebooks.write(folder / "n.ipynb", ["print(1)"])
    step = notebook_step(path, image="image:1", results={"rmse": float}, html=False)
    with local_runs(folder / "runs"), pytest.raises(RuntimeError):
        component_of(step)()
    assert record(of_step(folder / "runs", "n")).exit_code == 0


def test_a_daemon_that_does_not_answer_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/no.sock")
    step = steps.prepare_step(folder)
    with local_runs(folder / "runs", containers=True), pytest.raises(ClusterUnavailableError, match="no Docker daemon"):
        component_of(step)()


INTERRUPTED = """
import sys
from nbstep.steps.kfp import local_runs, notebook_step
from support import steps

with local_runs("runs"):
    steps.alone(notebook_step("n.ipynb", image="image:1", html=False))()
"""


def test_an_interrupted_pipeline_leaves_no_step_behind(folder: Path) -> None:
    notebooks.write(folder / "n.ipynb", ["import os, time\nprint('kernel', os.getpid())\ntime.sleep(600)"])
    program = [sys.executable, "-u", "-c", INTERRUPTED]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(program, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if '"message":"kernel ' in line)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(60) != 0
    assert record(of_step(folder / "runs", "n")).state == "cancelled"
    kernel = re.search(r"kernel (\d+)", line)
    assert kernel is not None
    assert not Path(f"/proc/{kernel[1]}").exists()


@pytest.mark.server
@pytest.mark.timeout(900)
def test_steps_run_as_containers(client: Docker, image: str, folder: Path) -> None:
    assert client
    pipeline = steps.pipeline(steps.prepare_step(folder, image=image), steps.train_step(folder, image=image))
    with local_runs(folder / "runs", containers=True, network_mode="none"):
        check_success(folder / "runs", pipeline(rows=5))


@pytest.mark.server
@pytest.mark.timeout(900)
def test_a_failing_container_fails_the_pipeline(client: Docker, image: str, folder: Path) -> None:
    pipeline = steps.pipeline(steps.prepare_step(folder, image=image), steps.train_step(folder, image=image))
    listed = ("ps", "--all", "--quiet", f"--filter=ancestor={image}")
    before = client.call(*listed).stdout.split()
    with (
        local_runs(folder / "runs", containers=True, network_mode="none"),
        pytest.raises(RuntimeError, match=r"Inner task failed: .*train"),
    ):
        pipeline(rows=5, fail=True)
    check_failure(folder / "runs")
    assert set(client.call(*listed).stdout.split()) <= set(before)


def test_tasks_of_one_component_do_not_write_over_each_other(folder: Path) -> None:
    prepare = steps.prepare_step(folder, html=False)

    def several() -> None:
        first = prepare(rows=1)
        with dsl.ParallelFor([2, 3]) as rows:
            prepare(rows=rows).after(first)
        prepare(rows=4)

    several.__annotations__ = {}
    with local_runs(folder / "runs"):
        dsl.pipeline(several)()
    left = [len(path.read_text().split()) for path in (folder / "runs").glob("**/data")]
    assert sorted(left) == [1, 2, 3, 4]


def test_tasks_that_overlap_leave_prints_and_logs_as_they_were(folder: Path) -> None:
    logger = logging.getLogger()
    before = (builtins.print, logger.handlers[:], logger.level)
    with local_runs(folder / "runs"):
        tasks = [(logging_utils.local_logger_context(), logging_utils.indented_print()) for _ in range(2)]
        for logs, prints in tasks:
            logs.__enter__()
            prints.__enter__()
        for logs, prints in tasks:
            prints.__exit__(None, None, None)
            logs.__exit__(None, None, None)
        assert builtins.print is not before[0]
    assert (builtins.print, logger.handlers, logger.level) == before


def test_a_retry_by_the_engine_runs_no_cell_again(folder: Path) -> None:
    source = f"open({str(folder / 'log')!r}, 'a').write('x')\nraise ValueError('no')"
    step = notebook_step(notebooks.write(folder / "n.ipynb", [source]), image="image:1", html=False)

    def stubborn() -> None:
        step().set_retry(num_retries=2, backoff_duration="0s")

    stubborn.__annotations__ = {}
    with local_runs(folder / "runs"), pytest.raises(RuntimeError):
        dsl.pipeline(stubborn)()
    assert (folder / "log").read_text() == "x"


def test_what_is_imported_comes_in_as_an_artifact(folder: Path) -> None:
    (folder / "rows.txt").write_text("0\n1")
    train = steps.train_step(folder)

    def imported() -> float:
        data = dsl.importer(artifact_uri=str(folder / "rows.txt"), artifact_class=dsl.Dataset)
        return train(data=data.output, rows=2).outputs["rmse"]

    imported.__annotations__ = {"return": float}
    with local_runs(folder / "runs"):
        assert dsl.pipeline(imported)().output == 0.25


def test_runs_in_the_workspace_are_there_until_the_pipeline_ends(folder: Path) -> None:
    step = steps.prepare_step(folder, runs=f"{dsl.WORKSPACE_PATH_PLACEHOLDER}/runs", html=False)
    sized = dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi"))

    def kept() -> None:
        step()

    kept.__annotations__ = {}
    with local_runs(folder / "runs"):
        dsl.pipeline(pipeline_config=sized)(kept)()
        workspace = str(config.LocalExecutionConfig.instance.workspace_root)
    prepared = of_step(folder / "runs", "prepare")
    left = decode((prepared / "record.json").read_bytes(), RunResult)
    assert (left.exit_code, left.output_uri) == (0, f"{workspace}/runs/{left.run_id}/output.ipynb")
    assert (prepared / "notebook").exists()
