"""A sweep on a real cluster while its pods, its launchers and its own runs die: each run gets one verdict.

``make sweeps`` runs it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import nbstep
from nbstep_runner.contract import Deadlines, RunState
from nbstep_runner.errors import OutputConflictError, StorageUnavailableError
from servers.cluster import Launcher
from servers.versitygw import GatewayServer
from support import notebooks
from support.notebooks import Code
from sweeps.pods import Taking, deleted, evicted, killed, lost, running, taking, until

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]

NBSTEP = Path(sys.executable).with_name("nbstep")
REPORT = "from nbstep_runner import result\nresult('square', n * n)"
SECONDS = 600.0
FULL = {"cpu": "100m", "memory": "400Mi"}
"""All that the queue has."""


@pytest.mark.fault(61)
@pytest.mark.parametrize(
    ("take", "retries"), [(lost, 3), (deleted, 3), (evicted, 0)], ids=["lost", "deleted", "evicted"]
)
def test_pods_that_are_taken_away(launcher: Launcher, take: Taking, retries: int) -> None:
    """An eviction is no failure: it needs no retry."""
    cells = ("n: int = 0", f"import time\ntime.sleep(2)\n{REPORT}")
    sweep = launcher.sweep(*cells, grid={"n": range(20)}, jobs=3, retries=retries, wait=False)
    until(lambda: running(launcher, sweep.id))
    with taking(launcher, sweep.id, take, times=3) as taken:
        done = sweep.wait(SECONDS, check=False)
    assert [run.result.results["square"] for run in done] == [n * n for n in range(20)]
    assert done.exit_code == 0
    assert sum(run.result.attempt - 1 for run in done) <= len(taken)
    assert taken


@pytest.mark.fault(61)
def test_runs_that_kill_their_kernel_fill_the_memory_or_never_end(launcher: Launcher) -> None:
    work = (
        "import os\n"
        "if n == 1: os.kill(os.getpid(), 9)\n"
        "if n == 2: data = bytearray(2**30); data[::4096] = b'x' * (2**30 // 4096)\n"
        "while n == 3: pass\n"
    )
    done = launcher.sweep(
        "n: int = 0", work + REPORT, grid={"n": range(8)}, jobs=2, per_pod=2, retries=1, check=False,
        deadlines=Deadlines(cell=10.0),
    )  # fmt: skip
    codes = [run.result.exit_code for run in done]
    assert codes[0] == 0
    assert codes[1] == 12
    assert codes[2] in (13, 70)  # the cluster kills the kernel, or all of its pod
    assert codes[3] == 11
    assert codes[4:] == [0, 0, 0, 0]


@pytest.mark.fault(26)
def test_two_launchers_one_of_which_is_killed(launcher: Launcher) -> None:
    notebook = notebooks.write(
        launcher.folder / "in.ipynb",
        [Code("n: int = 0", tags=("parameters",)), f"import time\ntime.sleep(3)\n{REPORT}"],
    )
    kubernetes = launcher.options()["kubernetes"]
    fields = [f"--set=kubernetes.{name}={value}" for name, value in kubernetes.items()]
    for name, reference in launcher.environment().items():
        fields.append(f"--set=env.{name}={{secret: {reference['secret']}, key: {reference['key']}}}")
    command = [
        *(
            str(NBSTEP),
            "sweep",
            str(notebook),
            "--grid",
            "n=0,1,2,3,4,5",
            "-j",
            "2",
            "-o",
            f"{launcher.bucket.runs}/two",
        ),
        *("--on", "kubernetes", "--image", launcher.image, "--memory", "400Mi", "--cpu", "50m", "--retries", "1"),
        *("--endpoint-url", launcher.bucket.endpoint, "--csv", *fields),
    ]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        assert both[0].stderr is not None
        handle = both[0].stderr.readline().strip()
        sweep: Any = nbstep.find(handle)
        until(lambda: running(launcher, sweep.id))
        both[0].send_signal(signal.SIGKILL)
        out, err = both[1].communicate(timeout=SECONDS)
        assert (both[1].returncode, err.splitlines()[0]) == (0, handle), err
        assert out.count("succeeded") == 6
        assert len(launcher.cluster.get("jobs")["items"]) == 1
        assert [run.result.attempt for run in sweep.wait()] == [1] * 6
    finally:
        for each in both:
            each.kill()
            each.wait()


def test_one_that_is_cancelled_saves_what_it_has_and_is_made_to_its_end_the_next_time(launcher: Launcher) -> None:
    cells = ("n: int = 0\nwait: int = 0", f"import time\ntime.sleep(wait)\n{REPORT}")
    how: dict[str, Any] = {"grid": {"n": range(4)}, "jobs": 2, "params": {"wait": 20}, "wait": False}
    sweep = launcher.sweep(*cells, **how)
    until(lambda: len(running(launcher, sweep.id)) == 2)
    until(lambda: list(sweep._store.list(f"{sweep.output}/n=0/")))
    with pytest.raises(OutputConflictError):
        sweep.delete()
    sweep.cancel()
    done = sweep.wait(SECONDS, check=False)
    assert done.exit_code == 143
    assert {run.state for run in done} <= {RunState.CANCELLED, RunState.PENDING}
    again = launcher.sweep(*cells, **how)
    assert again.handle == sweep.handle
    assert again.wait(SECONDS).exit_code == 0


def test_an_image_that_is_not_there_is_told_for_every_run(launcher: Launcher) -> None:
    done = launcher.sweep(
        "n: int = 0", REPORT, grid={"n": range(3)}, jobs=2, image="localhost/none:1", check=False,
        kubernetes={"start_seconds": 5},
    )  # fmt: skip
    assert [run.result.exit_code for run in done] == [78] * 3
    assert "localhost/none:1" in done.runs[0].error


@contextmanager
def silent(server: GatewayServer) -> Iterator[None]:
    """Meanwhile storage answers nothing, and refuses nothing either."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@pytest.mark.fault(61)
@pytest.mark.parametrize("budget", [120.0, 20.0], ids=["within_the_budget", "past_the_budget"])
def test_storage_that_is_away_for_a_minute(launcher: Launcher, budget: float) -> None:
    """Within the budget for retries all wait for it; past it pods and whoever follows give up, and go on afterwards."""
    cells = ("n: int = 0", f"import time\ntime.sleep(4)\n{REPORT}")
    options = launcher.options()
    options["storage"]["retry_seconds"] = budget
    sweep = launcher.sweep(*cells, grid={"n": range(16)}, jobs=2, retries=4, wait=False, options=options)
    until(lambda: sweep.status().words.startswith("2 of 16"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sweep.wait, SECONDS)
        assert isinstance(launcher.bucket.server, GatewayServer)
        with silent(launcher.bucket.server):
            time.sleep(60)
        if budget > 60:
            done = waiting.result()
        else:
            with pytest.raises(StorageUnavailableError):
                waiting.result()
            done = sweep.wait(SECONDS)
    assert [run.result.results["square"] for run in done] == [n * n for n in range(16)]
    again = sum(run.result.attempt - 1 for run in done)
    assert again == 0 if budget > 60 else again <= 4


@pytest.mark.fault(28)
@pytest.mark.fault(61)
def test_a_queue_that_takes_a_sweep_back_lets_it_go_on(launcher: Launcher, kueue: str) -> None:
    cells = ("n: int = 0", f"import time\ntime.sleep(4)\n{REPORT}")
    low, high = ({"queue": kueue, "queue_priority": priority} for priority in ("low", "high"))
    sweep = launcher.sweep(*cells, grid={"n": range(12)}, jobs=2, retries=0, wait=False, kubernetes=low)
    until(lambda: sweep.status().words.startswith("2 of 12"))
    urgent = launcher.submit("x = 1", "import time\ntime.sleep(8)", kubernetes=high, resources=FULL)
    until(lambda: any("the queue took it back" in problem for problem in sweep.status().problems))
    until(lambda: not running(launcher, sweep.id))
    assert sweep.status().state in (RunState.PENDING, RunState.RUNNING)
    assert urgent.wait(timeout=SECONDS).state is RunState.SUCCEEDED
    done = sweep.wait(SECONDS)
    assert [run.result.results["square"] for run in done] == [n * n for n in range(12)]
    assert 1 <= sum(run.result.attempt - 1 for run in done) <= 2


@pytest.mark.fault(61)
def test_a_pod_that_cannot_take_part_is_given_up_and_the_others_make_its_runs(launcher: Launcher) -> None:
    """Its plan is away when a pod begins anew: 66, which no retry mends, so that ``FailIndex`` is what happens."""
    cells = ("n: int = 0", f"import time\ntime.sleep(3)\n{REPORT}")
    sweep = launcher.sweep(*cells, grid={"n": range(16)}, jobs=2, retries=3, wait=False)
    until(lambda: len(running(launcher, sweep.id)) == 2 and sweep.status().words.startswith("2 of 16"))
    assert isinstance(launcher.bucket.server, GatewayServer)
    plan = launcher.bucket.server.root / sweep._places.plan.removeprefix("s3://")
    plan.rename(plan.with_suffix(".away"))
    killed(launcher, running(launcher, sweep.id)[-1])
    until(lambda: launcher.cluster.get("job", sweep.id)["status"].get("failedIndexes"))
    done = sweep.wait(SECONDS)
    plan.with_suffix(".away").rename(plan)
    assert [run.result.results["square"] for run in done] == [n * n for n in range(16)]
    assert launcher.cluster.get("job", sweep.id)["status"]["completedIndexes"] in ("0", "1")
