"""A sweep as one container: what it delivers, and that the next one does what a killed one has left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nbstep
from nbstep_runner.contract import RunState
from servers.dockerd import Docker
from support import invariants, notebooks, processes
from support.notebooks import Code

pytestmark = [pytest.mark.server, pytest.mark.timeout(600), pytest.mark.usefixtures("daemon")]

CELL = """
import time
from nbstep_runner import result
open('begun', 'a').close()
time.sleep(seconds)
result('square', n * n)
"""


@pytest.mark.fault(61)
def test_one_container_makes_all_runs_and_the_next_one_what_a_killed_one_left(docker: Docker, image: str) -> None:
    notebooks.write(Path("in.ipynb"), [Code("n: int = 0\nseconds: float = 0.0", tags=("parameters",)), CELL])
    how: dict[str, Any] = {
        "matrix": [{"n": 1}, {"n": 2}, {"n": 3, "seconds": 4.0}],
        "output": "out",
        "on": "docker",
        "image": image,
        "jobs": 2,
        "options": {"docker": {"network": "none"}},
    }
    sweep: Any = nbstep.sweep("in.ipynb", wait=False, **how)
    third = Path("out/n=3,seconds=4.0/output.result.json")
    assert processes.until(lambda: Path("out/n=2/output.ipynb").exists() and third.exists(), 100)
    docker.call("kill", f"nbstep-{sweep.id}")
    lost = sweep.wait(check=False)
    assert [run.state for run in lost] == [RunState.SUCCEEDED, RunState.SUCCEEDED, RunState.LOST]

    done: Any = nbstep.sweep("in.ipynb", **how)
    assert [run.result.results["square"] for run in done] == [1, 4, 9]
    assert [run.result.attempt for run in done] == [1, 1, 2]
    assert [line.message for line in nbstep.find(str(sweep)).lines()][-1].startswith("sweep succeeded: 3 of 3 runs")
    for run in done:
        assert invariants.violations(Path(run.output_uri), code=0) == []
