"""Runs as Jobs of a real cluster: what they deliver, how they end, what is said of those that cannot start."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import nbstep
from nbstep import Run
from nbstep.errors import WaitTimeoutError
from nbstep.profiles import load_profile
from nbstep_runner.contract import RunState
from nbstep_runner.errors import CellFailedError, OutputConflictError, TerminatedError
from servers.cluster import Api, Launcher
from support import notebooks

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]

NBSTEP = Path(sys.executable).with_name("nbstep")


def until_said(run: Run, words: str, seconds: float = 60.0) -> list[str]:
    """The problems of a run, once one of them holds these words."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = run.status()
        assert status.state is RunState.PENDING, status
        if any(words in problem for problem in status.problems):
            return list(status.problems)
        time.sleep(0.3)
    raise AssertionError(f"{words!r} was not said: {status}")


def test_a_run_delivers_its_log_results_and_notebook(launcher: Launcher) -> None:
    run = launcher.submit(
        "rate: float = 0.1",
        "import os\nfor n in range(50):\n    print('line', n)\nprint(open('lib/words.txt').read())",
        "from nbstep_runner import result\nresult('rate', rate)\nresult('user', os.getuid())",
        params={"rate": 0.5},
        files={"lib/words.txt": _file(launcher.folder / "words", "declared")},
    )
    shown = io.StringIO()
    run.logs(follow=True, file=shown)
    result = run.wait()

    printed = [line.partition("] ")[2] for line in shown.getvalue().splitlines() if "[2] " in line]
    assert printed == [*(f"line {n}" for n in range(50)), "declared"]
    assert result.results["rate"] == 0.5
    assert result.results["user"] != 0
    assert "line 49" in json.dumps(run.notebook())
    assert len(launcher.cluster.pods(run)) == 1


def _file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.fault(26)
def test_another_process_finds_it_by_its_string_and_by_its_id(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", "print('hello')")
    for name in (str(run), run.id):
        done = subprocess.run(
            [
                NBSTEP,
                "wait",
                name,
                "--json",
                "--runs",
                launcher.bucket.runs,
                "--endpoint-url",
                launcher.bucket.endpoint,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["run_id"] == run.id
    done = subprocess.run([NBSTEP, "logs", str(run), "--json"], capture_output=True, text=True, check=True, timeout=60)
    assert "hello" in [json.loads(line)["message"] for line in done.stdout.splitlines()]


def test_a_failed_cell_is_raised_here_and_a_retry_runs_no_cell(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", "print('tried')\nraise ValueError('no such flight')", retries=1)
    with pytest.raises(CellFailedError, match="no such flight") as caught:
        run.wait()
    assert "ValueError" in "".join(caught.value.__notes__)
    assert [line.message for line in run.lines() if line.cell == 1].count("tried") == 1
    while not (found := launcher.cluster.get("job", run.id)["status"].get("conditions")):
        time.sleep(0.2)
    assert {condition["reason"] for condition in found} == {"PodFailurePolicy"}
    (pod,) = launcher.cluster.pods(run)
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 10


def test_cancelling_saves_the_notebook(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", "print('begun', flush=True)\nimport time\ntime.sleep(300)")
    for line in run.lines(follow=True):
        if line.message == "begun":
            break
    run.cancel()
    with pytest.raises(TerminatedError):
        run.wait(timeout=60)
    assert run.state is RunState.CANCELLED
    assert "begun" in json.dumps(run.notebook())
    assert nbstep.find(str(run)).state is RunState.CANCELLED


@pytest.mark.fault(25)
def test_a_run_submitted_twice_is_one_run(launcher: Launcher) -> None:
    first = launcher.submit("x = 1", run_id="twice")
    second = launcher.submit("x = 1", run_id="twice")
    assert str(first) == str(second)
    with pytest.raises(OutputConflictError):
        launcher.submit("x = 1", params={"x": 2}, run_id="twice")
    assert first.wait().state is RunState.SUCCEEDED
    assert len(launcher.cluster.pods(first)) == 1


@pytest.mark.fault(3)
def test_a_container_killed_for_memory_gets_its_verdict_from_the_launcher(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", resources={"cpu": "50m", "memory": "24Mi"})
    result = run.wait(timeout=100, check=False)
    assert (result.state, result.exit_code) == (RunState.FAILED, 13)
    assert result.error is not None
    assert "its limit is 24Mi" in result.error.message
    assert run.record() == result


@pytest.mark.fault(28)
@pytest.mark.fault(29)
def test_a_run_whose_job_was_deleted_is_found_by_its_record(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", "print('begun', flush=True)\nimport time\ntime.sleep(300)")
    for line in run.lines(follow=True):
        if line.message == "begun":
            break
    launcher.cluster("delete", "job", run.id, "--wait=false")
    result = run.wait(timeout=100, check=False)
    # Its pod was told to end, so it saved: its own record is the verdict.
    assert (result.state, result.exit_code) == (RunState.CANCELLED, 143)
    assert "begun" in json.dumps(run.notebook())
    profile = load_profile(None, {"runs": launcher.bucket.runs, "storage": {"endpoint_url": launcher.bucket.endpoint}})
    again = nbstep.find(str(run), profile=profile)
    assert again.state is RunState.CANCELLED
    assert "begun" in [line.message for line in again.lines()]


@pytest.mark.fault(28)
def test_another_attempt_comes_after_an_eviction_which_is_no_failure(launcher: Launcher) -> None:
    """As when a node is drained: by the eviction API, which marks the pod as a ``DisruptionTarget``."""
    run = launcher.submit(
        "x = 1",
        "import os, time\nprint('attempt begun', flush=True)\n"
        "from nbstep_runner.stores import open_store\n"
        "flag = os.environ['FLAG']\nstore = open_store(flag)\n"
        "if store.stat(flag) is None:\n    store.write(flag, b'seen')\n    time.sleep(300)\n",
        env={"FLAG": f"{launcher.bucket.runs}/flags/{time.time_ns()}"},
        retries=0,
    )
    lines = run.lines(follow=True)
    for line in lines:
        if line.message == "attempt begun":
            break
    time.sleep(1.0)
    (pod,) = launcher.cluster.pods(run)
    evict(launcher.cluster, pod["metadata"]["name"])
    rest = list(lines)
    result = run.wait(timeout=100)
    assert (result.state, result.attempt) == (RunState.SUCCEEDED, 2)
    assert any("takes the pod away (EvictionByEvictionAPI)" in line.message for line in rest)
    assert {line.attempt for line in rest if line.message == "attempt begun"} == {2}
    assert [record.state for record in run.attempts()] == [RunState.CANCELLED, RunState.SUCCEEDED]
    again = [line.attempt for line in nbstep.find(str(run)).lines() if line.message == "attempt begun"]
    assert again == [1, 2]


def evict(cluster: Api, pod: str) -> None:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/eviction"
    cluster("create", "--raw", path, "--filename", "-", data=eviction)


@pytest.mark.fault(28)
def test_an_image_that_is_not_there_is_said(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", image="localhost/nbstep-test:absent")
    assert until_said(run, "is not on the node")
    run.cancel()
    result = run.wait(timeout=60, check=False)
    assert (result.state, result.exit_code) == (RunState.CANCELLED, 143)


@pytest.mark.fault(28)
def test_a_pod_without_a_place_is_said(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", resources={"cpu": "500"})
    problems = until_said(run, "no node takes the pod")
    assert "Insufficient cpu" in problems[0]


def test_a_secret_that_is_missing_is_said(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", env={"TOKEN": {"secret": "absent", "key": "token"}})
    assert "absent" in until_said(run, "the container cannot be configured")[0]


@pytest.mark.fault(28)
def test_a_quota_that_is_used_up_is_said(launcher: Launcher, cluster: Api) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    cluster.create(quota)
    try:
        run = launcher.submit("x = 1")
        until_said(run, "the namespace's quota is used up")
        log = io.StringIO()
        for line in run.lines(follow=True):
            log.write(line.message)
            if "quota" in line.message:
                break
        assert "the namespace's quota is used up" in log.getvalue()
    finally:
        cluster("delete", "resourcequota", "none")


@pytest.mark.fault(28)
def test_a_run_that_never_started_ends_with_its_deadline(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", image="localhost/nbstep-test:absent", kubernetes={"deadline_seconds": 3})
    result = run.wait(timeout=60, check=False)
    assert (result.state, result.exit_code) == (RunState.FAILED, 78)
    assert result.error is not None
    assert result.error.reference == "not-started"


@pytest.mark.fault(28)
def test_a_pod_that_does_not_start_in_time_ends_its_run(launcher: Launcher, cluster: Api) -> None:
    late: dict[str, Any] = {"start_seconds": 3, "node_selector": {"example.org/no-such": "node"}}
    followed = launcher.submit("x = 1", kubernetes=late)
    said = [line.message for line in followed.lines(follow=True)]
    assert any("no node takes the pod" in message for message in said)
    many = [launcher.submit("x = 1", kubernetes=late) for _ in range(4)]
    for run, result in zip([followed, *many], nbstep.wait_all([followed, *many], 100, check=False), strict=True):
        assert (result.state, result.exit_code) == (RunState.FAILED, 78)
        assert result.error is not None
        assert result.error.reference == "not-started"
        assert result.error.message.startswith("the pod had not started after 3 s; no node takes the pod: ")
        assert run.record() == result
        assert cluster.pods(run) == []
        assert nbstep.find(str(run)).state is RunState.FAILED


@pytest.mark.fault(28)
def test_a_pod_that_starts_in_time_has_all_the_time_it_needs(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", "import time\ntime.sleep(21)", kubernetes={"start_seconds": 20})
    assert run.wait(timeout=100).state is RunState.SUCCEEDED


def test_a_cluster_accepts_every_option(launcher: Launcher, cluster: Api) -> None:
    config: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    cluster.create(config | {"data": {"region": "north", "file.txt": "configured"}})
    run = launcher.submit(
        "x = 1",
        "import os, shutil\nprint(os.environ['REGION'], open('/settings/file.txt').read())\n"
        "print(shutil.disk_usage('/dev/shm').total == 64 * 2**20)\n"
        "try:\n    open('/opt/x', 'w')\nexcept OSError as error:\n    print('read-only:', error.strerror)",
        env={"REGION": {"config_map": "settings", "key": "region"}},
        resources={"cpu": "50m", "cpu_limit": 1, "memory": "400Mi", "shared_memory": "16Mi", "disk": "200Mi"},
        kubernetes={
            "config_maps": {"settings": {"path": "/settings", "items": {"file.txt": "file.txt"}}},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "node_selector": {"kubernetes.io/os": "linux"},
            "queue": "",
            "fs_group": 65532,
            "annotations": {"example.org/team": "flights"},
        },
    )
    run.wait(timeout=100)
    printed = [line.message for line in run.lines() if line.cell == 1 and line.stream]
    assert printed == ["north configured", "False", "read-only: Read-only file system"]


def test_a_hundred_runs_are_followed_at_the_cost_of_one(launcher: Launcher, faults: Any) -> None:
    nowhere = {"node_selector": {"kubernetes.io/hostname": "nowhere"}}
    path = notebooks.write(launcher.folder / "many.ipynb", ["x = 1"])
    with ThreadPoolExecutor(8) as pool:
        submit = partial(launcher.submit_file, path, kubernetes=nowhere)
        runs = list(pool.map(lambda n: submit(run_id=f"many-{n:03d}"), range(100)))

    before, threads = len(faults.requests), threading.active_count()
    with pytest.raises(WaitTimeoutError, match="100 of 100 runs"):
        nbstep.wait_all(runs, timeout=0)
    assert len(faults.requests) - before == 2
    assert threading.active_count() <= threads + 3  # the watch; the proxy has one for each of its two connections
    for run in runs:
        run.cancel()
    records = nbstep.wait_all(runs, timeout=120, check=False)
    assert {record.state for record in records} == {RunState.CANCELLED}
    assert [record.run_id for record in records] == [run.id for run in runs]


@pytest.mark.fault(76)
def test_the_files_of_a_run_outlive_its_pod_however_it_ends(launcher: Launcher) -> None:
    """One run succeeds, the other is deleted in mid cell; the working directory of both is gone."""
    writes = (
        "from pathlib import Path\nPath('a.csv').write_text('1')\nPath('b.txt').touch()\nprint('written', flush=True)"
    )
    options: dict[str, Any] = {"collect": ["*.csv"]}
    done = launcher.submit("x = 1", writes, **options)
    stopped = launcher.submit("x = 1", writes, "import time\ntime.sleep(600)", **options)
    assert any(line.message == "written" for line in stopped.lines(follow=True))
    launcher.cluster("delete", "pod", "--selector", f"nbstep/run-id={stopped.id}", "--wait=false")
    for run, state in ((done, "succeeded"), (stopped, "cancelled")):
        record = run.wait(120, check=False)
        assert (str(record.state), [file.path for file in run.files()]) == (state, ["a.csv"])
        assert record.left_behind is not None
        assert record.left_behind.names == ("b.txt",)
        (here,) = run.download(launcher.folder / run.id)
        assert here.read_text() == "1"
