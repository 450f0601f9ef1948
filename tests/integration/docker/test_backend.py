"""Runs by the docker backend: submitted, followed, cancelled, killed, found again."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import nbstep.errors
from nbstep import Run, find, submit
from nbstep_runner.contract import RunState
from nbstep_runner.errors import CellFailedError, OutOfMemoryError, OutputConflictError, TerminatedError, UsageError
from servers.dockerd import Docker
from support import invariants, notebooks, processes
from support.notebooks import Code

pytestmark = [pytest.mark.server, pytest.mark.timeout(600), pytest.mark.usefixtures("daemon")]

NBSTEP = str(Path(sys.executable).with_name("nbstep"))
WAIT = 60.0
OPTIONS: Mapping[str, object] = {"docker": {"network": "none"}}
HOG = "data = bytearray(2**30)\nfor at in range(0, 2**30, 4096):\n    data[at] = 1"
# The kernel gives itself up for killing last and the first process of the container first.
WHOLE = f"open('/proc/self/oom_score_adj', 'w').write('0'); open('/proc/1/oom_score_adj', 'w').write('1000')\n{HOG}"


def start(image: str, cells: Sequence[notebooks.Cell], **options: object) -> Run:
    notebooks.write(Path("in.ipynb"), cells)
    return submit("in.ipynb", on="docker", image=image, options=dict(OPTIONS), **options)  # type: ignore[arg-type]  # any option of any type


def of(run: Run) -> str:
    """A run's container."""
    return f"nbstep-{run.id}"


def wait_for(run: Run, text: str) -> None:
    for line in run.lines(follow=True):
        if text in line.message:
            return
    raise AssertionError(text)


def test_a_run_and_its_results(image: str) -> None:
    run = start(
        image,
        [
            Code("n = 1", tags=("parameters",)),
            "from nbstep_runner import result\nresult('twice', n * 2)\nprint(n)",
            "open('a.csv', 'w').write('1')\nopen('b.txt', 'w').write('2')",
        ],
        params={"n": 21},
        env={"GREETING": "hello"},
        collect=["*.csv"],
    )
    record = run.wait(WAIT)
    assert (record.state, record.exit_code, record.results) == (RunState.SUCCEEDED, 0, {"twice": 42})
    assert record.environment is not None
    assert record.environment.image == image
    messages = [line.message for line in run.lines()]
    assert messages.count("21") == 1
    (here,) = run.download("fetched")
    assert (here, here.read_text()) == (Path("fetched/a.csv"), "1")
    assert record.left_behind is not None
    assert record.left_behind.names == ("b.txt",)
    assert invariants.violations(Path(run.output_uri), code=0) == []


def test_the_failing_cells_error_is_raised(image: str) -> None:
    with pytest.raises(CellFailedError, match="ZeroDivisionError"):
        start(image, ["1 / 0"]).wait(WAIT)


def test_files_belong_to_whoever_submitted(image: str) -> None:
    run = start(image, ["open('made', 'w').close()"])
    run.wait(WAIT)
    assert {path.stat().st_uid for path in Path(run.output_uri).parent.iterdir()} == {os.getuid()}


def test_any_process_finds_it_again_while_it_runs(image: str) -> None:
    run = start(image, ["import time; print('there'); time.sleep(60)"])
    wait_for(run, "there")
    other = subprocess.run([NBSTEP, "status", str(run), "--json"], capture_output=True, text=True, check=False)
    assert (other.returncode, other.stderr) == (0, "")
    assert json.loads(other.stdout)["state"] == "running"
    cancelled = subprocess.run([NBSTEP, "cancel", str(run)], capture_output=True, text=True, check=False)
    assert (cancelled.returncode, cancelled.stderr) == (0, "")
    with pytest.raises(TerminatedError):
        find(str(run)).wait(WAIT)


@pytest.mark.fault(25)
def test_submitted_twice_it_is_one_run(docker: Docker, image: str) -> None:
    name = f"once-{secrets.token_hex(4)}"
    first = start(image, ["print(1)"], run_id=name)
    again = start(image, ["print(1)"], run_id=name)
    assert str(first) == str(again) == f"docker://{name}"
    assert again.wait(WAIT).attempt == 1
    assert docker.call("ps", "-aq", f"--filter=name=^nbstep-{name}$").stdout.count("\n") == 1
    with pytest.raises(OutputConflictError):
        start(image, ["print(2)"], run_id=name)


@pytest.mark.fault(2)
def test_a_kernel_killed_for_memory(image: str) -> None:
    with pytest.raises(OutOfMemoryError, match="the kernel was killed for memory"):
        start(image, [HOG], resources={"memory": "300Mi", "cpu": "1500m"}).wait(WAIT)


@pytest.mark.fault(3)
def test_a_whole_container_killed_for_memory_gets_its_verdict_from_the_launcher(docker: Docker, image: str) -> None:
    run = start(image, ["print('before')", WHOLE], resources={"memory": "300Mi"})
    with pytest.raises(OutOfMemoryError, match=r"the container was killed for memory \(limit 300 MiB\)"):
        run.wait(WAIT)
    assert docker.inspect(of(run))["State"]["ExitCode"] == 137
    record = run.record()
    assert record is not None
    assert (record.state, record.exit_code, record.claim) == (RunState.FAILED, 13, None)
    assert any("written by the launcher" in warning for warning in record.warnings)
    assert not Path(run.output_uri).exists()


def test_a_container_that_was_killed_is_lost(docker: Docker, image: str) -> None:
    run = start(image, ["import time; print('there'); time.sleep(60)"])
    wait_for(run, "there")
    docker.call("kill", of(run))
    with pytest.raises(nbstep.errors.LostRunError, match="the container was killed"):
        run.wait(WAIT)
    assert run.state is RunState.LOST


def test_a_container_that_was_removed_after_its_end_keeps_its_verdict(docker: Docker, image: str) -> None:
    run = start(image, ["1"])
    run.wait(WAIT)
    docker.call("rm", "--volumes", of(run))
    assert find(run.id, runs="nbstep-runs").wait(WAIT).state is RunState.SUCCEEDED


def test_limits_and_rights_are_the_daemons(docker: Docker, image: str) -> None:
    run = start(image, ["1"], resources={"memory": "512Mi", "cpu": "500m", "shared_memory": "32M"})
    run.wait(WAIT)
    host = docker.inspect(of(run))["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (512 * 2**20, 512 * 2**20, 500_000_000)
    assert (host["ShmSize"], host["ReadonlyRootfs"], host["CapDrop"]) == (32_000_000, True, ["ALL"])
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert not host["Privileged"]


@pytest.mark.fault(27)
def test_long_lines_and_many_come_once_and_whole(image: str) -> None:
    run = start(image, ["print('x' * 100_000)\nfor i in range(2000): print('line', i)"])
    messages = [line.message for line in run.lines(follow=True)]
    assert [message for message in messages if message.startswith("line ")] == [f"line {i}" for i in range(2000)]
    assert sum(message.count("x") for message in messages if message.startswith("xxx")) == 100_000


def test_an_image_that_cannot_be_had_is_said_in_words() -> None:
    with pytest.raises(nbstep.errors.NotStartedError, match="no-such-image"):
        start("127.0.0.1:1/no-such-image:1", ["1"])


def test_an_image_without_the_runner_is_said_in_words(docker: Docker) -> None:
    docker.call("build", "--tag=nbstep-test-empty", "-", input="FROM scratch\nLABEL a=b\n")
    with pytest.raises(nbstep.errors.NotStartedError, match="cannot be started"):
        start("nbstep-test-empty", ["1"])
    assert docker.call("ps", "-aq", "--filter=ancestor=nbstep-test-empty").stdout == ""


def test_no_image_is_a_mistake_that_costs_nothing() -> None:
    notebooks.write(Path("in.ipynb"), ["1"])
    with pytest.raises(UsageError, match="needs an image"):
        submit("in.ipynb", on="docker")
    assert not Path("nbstep-runs").exists()


def command(image: str, *arguments: str) -> list[str]:
    Path("nbstep.yaml").write_text("default: here\nprofiles: {here: {docker: {network: none}}}\n")
    return [NBSTEP, "run", "--on", "docker", "--image", image, *arguments]


def test_nbstep_run_in_a_container_is_nbstep_run(docker: Docker, image: str) -> None:
    notebooks.write(Path("in.ipynb"), [Code("n = 1", tags=("parameters",)), "print('n is', n)", "1 / 0"])
    Path("params.yaml").write_text("n: 3\n")
    done = subprocess.run(
        command(image, "in.ipynb", "out.ipynb", "params.yaml"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (10, "")
    assert "n is 3" in done.stdout
    assert "ZeroDivisionError" in done.stdout
    assert invariants.violations(Path("out.ipynb"), code=10) == []
    assert docker.call("ps", "-aq", "--filter=name=nbstep-run-").stdout == ""


def test_nbstep_run_in_a_container_prints_the_record(image: str) -> None:
    notebooks.write(Path("in.ipynb"), ["print('shown')"])
    done = subprocess.run(
        command(image, "in.ipynb", "out.ipynb", "--json"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, json.loads(done.stdout)["state"]) == (0, "succeeded")
    assert "shown" in done.stderr


def test_nbstep_run_in_a_container_passes_signals_on(image: str, work: Path) -> None:
    notebooks.write(Path("in.ipynb"), ["import time; print('there', flush=True); time.sleep(60)"])
    log = work / "log"
    with log.open("wb") as stream:
        running = subprocess.Popen(command(image, "in.ipynb", "out.ipynb"), stdout=stream, stderr=stream)
    assert processes.until(lambda: "there" in log.read_text(), 30), log.read_text()
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 143
    assert json.loads(Path("out.result.json").read_text())["state"] == "cancelled"


@pytest.mark.fault(3)
def test_nbstep_run_in_a_container_tells_out_of_memory(image: str) -> None:
    notebooks.write(Path("in.ipynb"), [WHOLE])
    done = subprocess.run(
        command(image, "in.ipynb", "out.ipynb", "--memory", "300Mi"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 13
    assert "the container was killed for memory (limit 300 MiB)" in done.stderr
    assert json.loads(Path("out.result.json").read_text())["exit_code"] == 13


def test_nbstep_run_says_that_no_daemon_answers(monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{work}/none.sock")
    done = subprocess.run(command("x", "in.ipynb", "out.ipynb"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (75, "")
    assert "no Docker daemon answers" in done.stderr
    assert "Traceback" not in done.stderr


def doctor(profile: Mapping[str, object], *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code of ``nbstep doctor``, and what was found by the names of what was looked at."""
    Path("nbstep.yaml").write_text(json.dumps({"profiles": {"here": {"on": "docker", "runs": "runs", **profile}}}))
    told = [NBSTEP, "doctor", "--profile", "here", "--json", *options]
    done = subprocess.run(told, capture_output=True, text=True, check=False, timeout=200)
    assert done.stderr == ""
    return done.returncode, {each["name"]: each for each in json.loads(done.stdout)}


def test_doctor_tells_part_by_part_what_works_and_leaves_nothing(docker: Docker, image: str) -> None:
    works = {"image": image, "docker": {"network": "none"}}
    code, found = doctor(works)
    assert (code, list(found)) == (0, ["profile", "runs folder", "clock of the store", "docker"])
    assert found["docker"]["words"] == f"the daemon answers and has the image {image}"
    code, found = doctor(works, "--deep")
    assert (code, list(found)[-4:]) == (0, ["a small run", "runner", "kernel", "clock of the run"]), found
    assert not any(each["remedy"] for each in found.values())
    assert list(Path("runs").iterdir()) == []
    assert docker.call("ps", "--all", "--quiet", "--filter", "name=doctor").stdout == ""


def test_doctor_tells_what_to_do_where_something_is_missing(
    docker: Docker, image: str, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, found = doctor({"image": "127.0.0.1:1/no-such-image:1"})
    assert (code, list(found)[-1]) == (78, "docker")
    assert "no-such-image" in found["docker"]["words"]
    assert found["docker"]["remedy"]
    docker.call("build", "--tag=nbstep-test-empty", "-", input="FROM scratch\nLABEL a=b\n")
    code, found = doctor({"image": "nbstep-test-empty"}, "--deep")
    assert (code, list(found)[-1]) == (78, "a small run")
    assert "cannot be started" in found["a small run"]["words"]
    assert found["a small run"]["remedy"]
    assert list(Path("runs").iterdir()) == []
    monkeypatch.setenv("DOCKER_HOST", f"unix://{work}/none.sock")
    code, found = doctor({"image": image})
    assert (code, list(found)[-1]) == (78, "docker")
    assert "no Docker daemon answers" in found["docker"]["words"]
    assert "DOCKER_HOST" in found["docker"]["remedy"]
