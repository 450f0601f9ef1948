"""A sweep on a real cluster while its pods, its launchers and its own runs die: each run gets one verdict.

``make sweeps`` runs it; ``NBSTEP_SWEEP_SETS`` sets the number of short sets.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import nbstep
from nbstep_runner.contract import Deadlines, RunState
from nbstep_runner.errors import OutputConflictError
from servers.cluster import Launcher
from support import notebooks
from support.notebooks import Code

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(900)]

NBSTEP = Path(sys.executable).with_name("nbstep")
REPORT = "from nbstep_runner import result\nresult('square', n * n)"
SECONDS = 600.0
SETS = int(os.environ.get("NBSTEP_SWEEP_SETS", "500"))
CORES, JOBS = 2, 10


def until(seen: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.3)


def pods(launcher: Launcher, name: str) -> list[str]:
    """Those that run."""
    found = launcher.cluster.get("pods", "--selector", f"nbstep/run-id={name}")["items"]
    return [pod["metadata"]["name"] for pod in found if pod["status"]["phase"] == "Running"]


@contextmanager
def killing(launcher: Launcher, name: str, *how: str, times: int) -> Iterator[list[str]]:
    """Meanwhile pods of a sweep are taken away, one every few seconds; which were."""
    taken: list[str] = []
    chance, over = random.Random(0), threading.Event()  # noqa: S311 - where to hit, not a secret

    def kill() -> None:
        while len(taken) < times and not over.wait(chance.uniform(4, 8)):
            if running := pods(launcher, name):
                taken.append(chance.choice(running))
                launcher.cluster("delete", "pod", taken[-1], "--wait=false", *how, check=False)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield taken
    finally:
        over.set()
        thread.join()


@pytest.mark.fault(61)
@pytest.mark.parametrize("how", [("--force", "--grace-period=0"), ()], ids=["killed", "deleted"])
def test_pods_that_are_taken_away(launcher: Launcher, how: tuple[str, ...]) -> None:
    cells = ("n: int = 0", f"import time\ntime.sleep(2)\n{REPORT}")
    sweep = launcher.sweep(*cells, grid={"n": range(20)}, jobs=3, retries=3, wait=False)
    until(lambda: pods(launcher, sweep.id))
    with killing(launcher, sweep.id, *how, times=3) as taken:
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
        until(lambda: pods(launcher, sweep.id))
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
    until(lambda: len(pods(launcher, sweep.id)) == 2)
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


def test_five_hundred_short_sets(launcher: Launcher, capsys: pytest.CaptureFixture[str]) -> None:
    """What a sweep costs on the cluster, beside one on this machine, and a Job for each set (of which ten are made)."""
    cells = ("n: int = 0", f"import time\ntime.sleep(0.05)\n{REPORT}")
    began = time.monotonic()
    done = launcher.sweep(*cells, grid={"n": range(SETS)}, jobs=CORES)
    shared = time.monotonic() - began
    assert [run.result.results["square"] for run in done] == [n * n for n in range(SETS)]
    assert [run.result.attempt for run in done] == [1] * SETS

    began = time.monotonic()
    nbstep.sweep(
        launcher.folder / "notebook.ipynb", grid={"n": range(SETS)}, output=launcher.folder / "here", jobs=CORES
    )
    here = time.monotonic() - began

    began = time.monotonic()
    runs = [launcher.submit(*cells, params={"n": n}) for n in range(JOBS)]
    nbstep.wait_all(runs)
    alone = (time.monotonic() - began) * SETS / JOBS
    figures = f"{shared:.0f} s on the cluster, {here:.0f} s here, {alone:.0f} s as Jobs of their own"
    with capsys.disabled():
        sys.stdout.write(f"\n{SETS} sets of 50 ms, {CORES} at once: {figures}\n")


def test_an_image_that_is_not_there_is_told_for_every_run(launcher: Launcher) -> None:
    done = launcher.sweep(
        "n: int = 0", REPORT, grid={"n": range(3)}, jobs=2, image="localhost/none:1", check=False,
        kubernetes={"start_seconds": 5},
    )  # fmt: skip
    assert [run.result.exit_code for run in done] == [78] * 3
    assert "localhost/none:1" in done.runs[0].error
