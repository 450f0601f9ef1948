"""Sweeps on a real cluster: what they deliver, and that each run gets one verdict whatever dies."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbstep
from nbstep_runner.contract import RunState
from nbstep_runner.errors import CellFailedError
from servers.cluster import Launcher

pytestmark = [pytest.mark.server, pytest.mark.timeout(500)]

NBSTEP = Path(sys.executable).with_name("nbstep")
REPORT = "from nbstep_runner import result\nresult('square', n * n)"


def until(seen: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.3)


def test_a_sweep_delivers_what_a_local_one_does_and_is_found_by_its_name(launcher: Launcher) -> None:
    cells = ("n: int = 0", "if n == 4: raise ValueError('no four')\n" + REPORT)
    sets: dict[str, Any] = {"grid": {"n": range(6)}, "jobs": 2, "per_pod": 2}
    done = launcher.sweep(*cells, **sets, check=False)
    assert [run.parameters["n"] for run in done] == list(range(6))
    assert [run.state for run in done] == [RunState.FAILED if n == 4 else RunState.SUCCEEDED for n in range(6)]
    assert [run.result.results.get("square") for run in done] == [0, 1, 4, 9, None, 25]
    assert done.exit_code == 10
    with pytest.raises(CellFailedError, match="no four"):
        done.check()

    again = launcher.sweep(*cells, **sets, wait=False)
    assert [run.result.attempt for run in again.wait(check=False)] == [1] * 6
    assert [run.result.started_at for run in again.outcome()] == [run.result.started_at for run in done]
    place = ["--runs", again.output, "--endpoint-url", launcher.bucket.endpoint]
    for name in (str(again), again.id):
        shown = subprocess.run(
            [NBSTEP, "status", name, *place], capture_output=True, text=True, check=False, timeout=100
        )
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout.startswith(f"{again.id}: failed (6 of 6 runs have ended, 1 of them failed)")
    found: Any = nbstep.find(str(again))
    assert sum("succeeded" in line.message for line in found.lines()) == 5
    found.delete()
    assert not list(found._store.list(f"{found.output}/"))
    assert launcher.cluster.get("jobs", "--selector", f"nbstep/run-id={found.id}")["items"] == []
