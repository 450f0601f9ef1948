"""The cluster's API is away for two minutes while runs go on, end and lose their pods; ``make sweeps`` runs it."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nbstep import Run
from nbstep_runner.contract import RunState
from servers.api_proxy import Faults
from servers.cluster import Launcher
from sweeps.pods import killed, running, until

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]

NBSTEP = Path(sys.executable).with_name("nbstep")
AWAY_SECONDS = 120.0
COUNTING = """
import time
for n in range(SECONDS):
    print("line", n, flush=True)
    time.sleep(1)
"""


def counting(seconds: int, then: str = "") -> str:
    """A cell that says something each second."""
    return COUNTING.replace("SECONDS", str(seconds)) + then


def asked(*arguments: object) -> subprocess.Popen[str]:
    """A command of nbstep, as a process of its own."""
    return subprocess.Popen([NBSTEP, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answered(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit code, and what it has said."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.fault(27)
@pytest.mark.parametrize("how", ["away", "silent"])
def test_watching_goes_on_and_the_verdicts_are_right(launcher: Launcher, faults: Faults, how: str) -> None:
    """Three runs: one goes on over the outage, a cell of one fails in it, and one is killed in it for good."""
    lasting = launcher.submit("x = 1", counting(200))
    failing = launcher.submit("x = 2", counting(40, "raise ValueError('in the dark')"))
    losing = launcher.submit("x = 3", counting(600))
    runs = [lasting, failing, losing]
    until(lambda: all(said(run, "line 1") for run in runs))
    following, waiting = asked("logs", "--follow", lasting), asked("wait", failing)
    with ThreadPoolExecutor(3) as pool:
        waits = [pool.submit(run.wait, 600.0, check=False) for run in runs]
        setattr(faults, how, True)
        try:
            began = time.monotonic()
            pod = running(launcher, losing.id)[0]
            killed(launcher, pod)
            looking = asked("status", lasting)
            time.sleep(AWAY_SECONDS - (time.monotonic() - began))
        finally:
            setattr(faults, how, False)
        ends = [wait.result() for wait in waits]

    assert [end.state for end in ends] == [RunState.SUCCEEDED, RunState.FAILED, RunState.LOST]
    assert [end.exit_code for end in ends[:2]] == [0, 10]
    code, out, err = answered(looking)
    assert (code, f"{lasting.id}: running" in out) == (0, True), err
    assert "the cluster does not answer" in err
    code, out, err = answered(waiting)
    assert (code, "in the dark" in err) == (10, True), err
    code, out, err = answered(following)
    assert code == 0, err
    lines = [line for line in out.splitlines() if "line " in line]
    assert [line.rpartition("line ")[2] for line in lines] == [str(n) for n in range(200)]


def said(run: Run, words: str) -> bool:
    return any(words == line.message for line in run.lines())
