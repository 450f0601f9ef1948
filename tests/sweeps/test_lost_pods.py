"""A training that loses its pod again and again ends as an undisturbed one; ``make sweeps`` runs it."""

from __future__ import annotations

import random
import time

import pytest

from integration.kubernetes.test_jobs import evict
from integration.kubernetes.test_state import TRAINING, pods
from nbstep import Run
from nbstep_runner.contract import RunState
from servers.cluster import Launcher
from support import processes

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

KILLS = 3
"""Kubernetes waits 10 s before the next pod, then twice as long each time."""


def kill(launcher: Launcher, run: Run, choice: random.Random) -> None:
    """End the run's pod at a random moment: evicted, deleted, or deleted without any notice."""
    if not processes.until(lambda: bool(pods(launcher, run)) or run.status().state.final, 200):
        raise AssertionError(f"no pod runs: {run.status()}")
    time.sleep(choice.uniform(6, 10))  # some four of them are the start
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
    run = launcher.submit("x = 1", TRAINING.replace("PAUSE", "0.5"), state=True, retries=KILLS)
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
