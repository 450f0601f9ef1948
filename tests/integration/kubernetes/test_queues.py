"""Runs in a queue of Kueue: preempted, saved, let go again and finished; cancelled as they wait; out of time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbstep
from nbstep import Run
from nbstep.backends.kubernetes import manifest
from nbstep_runner.contract import RunState, StorageOptions
from servers.cluster import Launcher

pytestmark = [pytest.mark.server, pytest.mark.timeout(400)]

NBSTEP = Path(sys.executable).with_name("nbstep")
FIRST_WAITS = """
import os, time
from nbstep_runner.stores import open_store
flag = os.environ["FLAG"]
store = open_store(flag)
print("attempt begun", flush=True)
if store.stat(flag) is None:
    store.write(flag, b"seen")
    time.sleep(300)
"""
"""The first attempt waits to be taken away; the one after it finishes."""


@pytest.fixture
def queue(launcher: Launcher, kueue: str) -> Callable[..., Run]:
    """Submit a run to the queue, which admits one at a time."""

    def submit(code: str, priority: str, **more: Any) -> Run:
        kubernetes = {"queue": kueue, "queue_priority": priority, **more.pop("kubernetes", {})}
        env = {"FLAG": f"{launcher.bucket.runs}/flags/{time.time_ns()}"}
        resources = {"cpu": "60m", "memory": "400Mi"}
        return launcher.submit("x = 1", code, kubernetes=kubernetes, env=env, resources=resources, **more)

    return submit


def until(run: Run, words: str, seconds: float = 100.0) -> None:
    """Wait until one of the run's problems holds these words."""
    end = time.monotonic() + seconds
    while not any(words in problem for problem in run.status().problems):
        assert time.monotonic() < end, run.status()
        time.sleep(0.3)


def until_begun(run: Run) -> None:
    for line in run.lines(follow=True):
        if line.message == "attempt begun":
            return


@pytest.mark.fault(28)
def test_a_preempted_run_is_saved_waits_and_finishes(launcher: Launcher, queue: Callable[..., Run]) -> None:
    run = queue(FIRST_WAITS, "low", retries=0)
    until_begun(run)
    urgent = queue("import time\ntime.sleep(8)", "high")
    until(run, "the queue took it back: Preempted to accommodate a workload")
    while (waiting := run.status()).state is not RunState.PENDING:
        time.sleep(0.2)
    assert waiting.record is None
    assert "attempt 1: cancelled" in waiting.words
    assert "attempt begun" in json.dumps(run.notebook())

    assert urgent.wait(timeout=100).state is RunState.SUCCEEDED
    result = run.wait(timeout=100)
    assert (result.state, result.attempt) == (RunState.SUCCEEDED, 2)
    assert [(record.attempt, record.state) for record in run.attempts()] == [(1, "cancelled"), (2, "succeeded")]
    begun = [line.attempt for line in nbstep.find(str(run)).lines() if line.message == "attempt begun"]
    assert begun == [1, 2]
    listed = nbstep.history(launcher.bucket.runs, storage=StorageOptions(endpoint_url=launcher.bucket.endpoint))
    assert [record.state for record in listed if record.run_id == run.id] == [RunState.SUCCEEDED]
    done = subprocess.run([NBSTEP, "status", str(run)], capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{run.id}: succeeded" in done.stdout
    assert "  attempt 1: cancelled in" in done.stdout


@pytest.mark.fault(28)
def test_a_run_that_is_cancelled_in_its_queue_never_begins(launcher: Launcher, queue: Callable[..., Run]) -> None:
    first = queue("import time\ntime.sleep(300)", "high")
    second = queue("x = 2", "low")
    until(second, "the queue does not admit it yet: couldn't assign flavors")
    second.cancel()
    result = second.wait(timeout=60, check=False)
    assert (result.state, result.exit_code) == (RunState.CANCELLED, 143)
    assert list(second.lines(follow=True)) == []
    first.cancel()
    assert first.wait(timeout=60, check=False).state is RunState.CANCELLED
    assert launcher.cluster.pods(second) == []
    assert second.state is RunState.CANCELLED


@pytest.mark.fault(28)
def test_a_run_ends_when_its_time_in_the_queue_is_used_up(
    launcher: Launcher, queue: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after several admissions: Kueue's limit comes before the Job's own, which begins anew with each of them."""
    monkeypatch.setattr(manifest, "QUEUE_SPARE_SECONDS", -480)
    run = queue(FIRST_WAITS, "low", kubernetes={"deadline_seconds": 500})
    until(run, "the queue took it back: The workload is deactivated due to exceeding the maximum execution time")
    assert run.wait(timeout=60, check=False).state is RunState.CANCELLED
    job = launcher.cluster.get("job", run.id)
    assert job["metadata"]["annotations"]["nbstep/expired"] == "true"


def test_a_queue_that_is_not_there_is_said(queue: Callable[..., Run]) -> None:
    run = queue("x = 1", "low", kubernetes={"queue": "absent"})
    until(run, "LocalQueue absent doesn't exist")
    assert run.state is RunState.PENDING
