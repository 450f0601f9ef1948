"""A run that keeps its state on a cluster: evicted and deleted again and again, it ends as an undisturbed one."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from integration.kubernetes.test_jobs import evict
from nbstep import Run
from nbstep_runner.contract import RunState
from servers.cluster import Launcher
from support import processes

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

KILLS = 3
"""Kubernetes waits 10 s before the next pod, then twice as long each time."""
STEPS = 60
TRAINING = f"""
import json, random, time
from nbstep_runner import result, state
kept = state.folder / "training.json"
random.seed(5)
step, weight = 0, 0.0
if state.restored:
    found = json.loads(kept.read_text())
    step, weight = found["step"], found["weight"]
    version, internal, gauss = found["random"]
    random.setstate((version, tuple(internal), gauss))
print("begins at", step, flush=True)
while step < {STEPS}:
    step += 1
    weight += random.random()
    time.sleep(PAUSE)
    new = state.folder / "new.json"
    new.write_text(json.dumps({{"step": step, "weight": weight, "random": random.getstate()}}))
    new.replace(kept)
    if step % 5 == 0:
        state.save()
result("model", weight)
"""


def pods(launcher: Launcher, run: Run) -> list[dict[str, Any]]:
    """Those that run and that nobody has ended yet."""
    found = launcher.cluster.pods(run)
    return [
        pod for pod in found if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    ]


def kill(launcher: Launcher, run: Run, choice: random.Random) -> None:
    """End the run's pod at a random moment: evicted, deleted, or deleted without any notice."""
    if not processes.until(lambda: bool(pods(launcher, run)) or run.status().state.final, 200):
        raise AssertionError(f"no pod runs: {run.status()}")
    time.sleep(choice.uniform(0, 6))
    name = next((pod["metadata"]["name"] for pod in pods(launcher, run)), None)
    if name is None:  # it has just ended
        return
    how = choice.choice(("evict", "delete", "lose"))
    if how == "evict":
        evict(launcher.cluster, name)
    elif how == "delete":
        launcher.cluster("delete", "pod", name, "--wait=false")
    else:
        launcher.cluster("delete", "pod", name, "--force", "--grace-period=0", check=False)


@pytest.mark.fault(60)
def test_a_training_that_loses_its_pod_again_and_again_ends_with_the_same_model(launcher: Launcher) -> None:
    once = launcher.submit("x = 1", TRAINING.replace("PAUSE", "0"), state=True)
    run = launcher.submit("x = 1", TRAINING.replace("PAUSE", "0.25"), state=True, retries=KILLS)
    choice = random.Random(3)  # noqa: S311 - moments to kill at
    kills = 0
    while kills < KILLS and not run.status().state.final:
        kill(launcher, run, choice)
        kills += 1

    result = run.wait(timeout=500)

    assert result.state is RunState.SUCCEEDED
    assert result.results == once.wait(timeout=100).results
    assert kills == KILLS
    assert result.attempt > 1
    assert result.continued_from is not None


@pytest.mark.fault(60)
def test_an_evicted_run_goes_on_without_a_retry(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", TRAINING.replace("PAUSE", "0.1"), state=True, retries=0)
    assert processes.until(lambda: any("begins at 0" in line.message for line in run.lines()), 120)
    evict(launcher.cluster, pods(launcher, run)[0]["metadata"]["name"])
    result = run.wait(timeout=200)
    assert (result.state, result.attempt) == (RunState.SUCCEEDED, 2)
    assert result.continued_from is not None
    assert result.continued_from.attempt == 1
