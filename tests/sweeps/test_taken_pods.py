"""Runs whose pod a node does not keep: tainted, or out of the disk that it was promised; ``make sweeps`` runs it.

The taint drives every pod from the node that does not tolerate it: nothing else may run on the cluster meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbstep
from nbstep import Run
from nbstep_runner.contract import RunState
from servers.cluster import Api, Launcher
from support import processes
from sweeps.pods import Taking, evicted, killed, lost, running, suspended, until

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

TAINT = "nbstep-test=drain:NoExecute"
WAITS_ONCE = """
import os, time
from nbstep_runner.stores import open_store
open("a.csv", "w").write("1")
flag = os.environ["FLAG"]
store = open_store(flag)
if store.stat(flag) is None:
    store.write(flag, b"seen")
    print("waits", flush=True)
    time.sleep(300)
"""
STATE_WAITS = """
import time
from nbstep_runner import result, state
kept = state.folder / "first"
if not state.restored:
    kept.write_text("seen")
    state.save()
    print("waits", flush=True)
    time.sleep(300)
result("seen", kept.read_text())
"""
FILLS = """
import time
open("a.csv", "w").write("1")
with open("large", "wb") as file:
    for _ in range(100):
        file.write(bytes(2**20))
print("filled", flush=True)
time.sleep(300)
"""


WORKS_ON_A_CLAIM = """
import os
from pathlib import Path
from nbstep_runner import result
assert os.listdir() == []
Path("large.bin").write_bytes(bytes(2**20))
result("file", Path("large.bin"))
"""


def until_said(run: Run, message: str) -> None:
    for line in run.lines(follow=True):
        if line.message == message:
            return
    raise AssertionError(message)


@pytest.mark.fault(28)
def test_a_taint_takes_the_pod_and_the_run_goes_on_elsewhere_without_a_retry(launcher: Launcher) -> None:
    """As when a node becomes unreachable, or is drained by its taint: ``DeletionByTaintManager``."""
    env = {"FLAG": f"{launcher.bucket.runs}/flags/{time.time_ns()}"}
    run = launcher.submit("x = 1", WAITS_ONCE, env=env, retries=0, collect=["*.csv"])
    until_said(run, "waits")
    try:
        launcher.cluster("taint", "nodes", "--all", TAINT)
        assert processes.until(lambda: any("DeletionByTaintManager" in said for said in told(run)), 60), told(run)
    finally:
        launcher.cluster("taint", "nodes", "--all", f"{TAINT}-")
    result = run.wait(timeout=200)
    assert (result.state, result.attempt) == (RunState.SUCCEEDED, 2)
    assert [record.state for record in run.attempts()] == [RunState.CANCELLED, RunState.SUCCEEDED]
    assert [file.path for file in run.files()] == ["a.csv"]


@pytest.fixture
def spare_volumes(cluster: Api, tmp_path: Path) -> Iterator[str]:
    """The storage class of two volumes, folders of this machine, which is the cluster's node: one for each attempt."""
    name = f"spare-{cluster.namespace}"
    names = [f"{name}-{number}" for number in range(2)]
    for each in names:
        cluster.make_volume(each, name, tmp_path / each)
    yield name
    cluster("delete", "pv", *names, "--wait=false")


@pytest.mark.fault(28)
@pytest.mark.parametrize(
    ("take", "retries"), [(evicted, 0), (suspended, 0), (killed, 1)], ids=["evicted", "suspended", "killed"]
)
def test_a_run_with_a_claim_of_its_own_and_files_to_bring_back_loses_its_pod(
    launcher: Launcher, spare_volumes: str, take: Taking, retries: int
) -> None:
    """Each attempt has a place on a node by the same rules, an empty claim of its own, and stores its files."""
    kubernetes = {
        "volumes": {"work": {"path": "/work", "size": "1Gi", "storage_class": spare_volumes}},
        "affinity": [{"key": "kubernetes.io/os", "values": ["linux"]}, {"key": "spot", "values": ["no"], "weight": 1}],
        "spread": [{}],
    }
    env = {"FLAG": f"{launcher.bucket.runs}/flags/{time.time_ns()}"}
    run = launcher.submit(
        "x = 1", WORKS_ON_A_CLAIM + WAITS_ONCE, env=env, retries=retries, collect=["*.csv"], kubernetes=kubernetes
    )
    until_said(run, "waits")
    take(launcher, running(launcher, run.id)[0])
    result = run.wait(timeout=200)
    assert (result.state, result.attempt, result.results) == (RunState.SUCCEEDED, 2, {"file": "large.bin"})
    assert [file.path for file in run.files()] == ["a.csv", "large.bin"]
    first = next(iter(run.attempts()))
    stored = [] if take is killed else ["a.csv", "large.bin"]
    assert (first.attempt, [file.path for file in first.files]) == (1, stored)


@pytest.mark.fault(60)
def test_a_run_that_keeps_a_state_goes_on_after_its_node_was_lost(launcher: Launcher) -> None:
    """As when a node never comes back: it is tainted, its pod is not waited for, and another one goes on."""
    run = launcher.submit("x = 1", STATE_WAITS, state=True, retries=1)
    until_said(run, "waits")
    pod = running(launcher, run.id)[0]
    try:
        launcher.cluster("taint", "nodes", "--all", TAINT)
        lost(launcher, pod)
        until(lambda: pod not in running(launcher, run.id))
    finally:
        launcher.cluster("taint", "nodes", "--all", f"{TAINT}-")
    result = run.wait(timeout=200)
    assert (result.state, result.results) == (RunState.SUCCEEDED, {"seen": "seen"})
    assert result.continued_from is not None
    assert result.continued_from.attempt == 1


def told(run: Run) -> list[str]:
    """What is known of a run now, to a process that knows nothing of it yet."""
    found = nbstep.find(str(run))
    assert isinstance(found, Run)
    status = found.status()
    return [status.words, *status.problems]


@pytest.mark.fault(28)
@pytest.mark.fault(76)
def test_a_pod_that_fills_its_disk_is_evicted_and_that_is_said(launcher: Launcher) -> None:
    """The kubelet evicts it for a limit of its own, which the next pod would meet again: that is a failure of the Job.

    It leaves the pod a second: the record is final, or settled by whoever looks.
    """
    resources = {"cpu": "50m", "memory": "400Mi", "disk": "50Mi"}
    run = launcher.submit("x = 1", FILLS, resources=resources, retries=0, collect=["*.csv"])
    until_said(run, "filled")
    result = run.wait(timeout=200, check=False)
    assert result.state in {RunState.CANCELLED, RunState.LOST}
    assert any(said.startswith("the pod was evicted: ") and "50Mi" in said for said in told(run)), told(run)
