"""A run that keeps its state on a cluster: evicted, it goes on where it was."""

from __future__ import annotations

from typing import Any

import pytest

from integration.kubernetes.test_jobs import evict
from nbstep import Run
from nbstep_runner.contract import RunState
from servers.cluster import Launcher
from support import processes
from support.training import training_cell

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]


def pods(launcher: Launcher, run: Run) -> list[dict[str, Any]]:
    """Those that run and that nobody has ended yet."""
    found = launcher.cluster.pods(run)
    return [
        pod for pod in found if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    ]


@pytest.mark.fault(60)
def test_an_evicted_run_goes_on_without_a_retry(launcher: Launcher) -> None:
    run = launcher.submit("x = 1", training_cell(60, pause=0.1, saved_every=5), state=True, retries=0)
    assert processes.until(lambda: any("begins at 0" in line.message for line in run.lines()), 120)
    evict(launcher.cluster, pods(launcher, run)[0]["metadata"]["name"])
    result = run.wait(timeout=200)
    assert (result.state, result.attempt) == (RunState.SUCCEEDED, 2)
    assert result.continued_from is not None
    assert result.continued_from.attempt == 1
