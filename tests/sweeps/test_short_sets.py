"""What a sweep of short sets costs on the cluster, beside one on this machine and a Job for each set.

``make sweeps`` runs it; ``NBSTEP_SWEEP_SETS`` sets the number of sets, ``NBSTEP_SWEEP_ROUNDS`` that of the rounds. The
contenders alternate, so that what else the machine does meets all of them. ``docs/sweeps.md`` has the figures.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import pytest

import nbstep
from servers.cluster import Launcher
from support import notebooks
from sweeps.pods import killed, moment, taking

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(7200)]

SETS = int(os.environ.get("NBSTEP_SWEEP_SETS", "500"))
ROUNDS = int(os.environ.get("NBSTEP_SWEEP_ROUNDS", "3"))
CORES, JOBS = 2, 10
KILLS = int(os.environ.get("NBSTEP_SWEEP_KILLS", "5"))
WHOLE_CORES = {"cpu": "800m", "memory": "600Mi"}
"""A pod's share of a busy processor is as large as that of a process here."""
PAUSE = (5.0, 15.0)
"""Seconds between two kills."""
CELLS = ("n: int = 0", "import time\ntime.sleep(0.05)\nfrom nbstep_runner import result\nresult('square', n * n)")


@dataclass(frozen=True)
class Swept:
    """A sweep that has ended.

    Attributes:
        seconds: From the call to the last verdict.
        start: Of them, until the first pod's container had started.
        taken: How many pods were killed.
        again: How often a set was begun again.
    """

    seconds: float
    start: float = 0.0
    taken: int = 0
    again: int = 0


def on_cluster(launcher: Launcher, *, kills: int = 0) -> Swept:
    """By as many pods as there are cores: each set has one record, and no more are repeated than pods were killed."""
    began, called = time.monotonic(), time.time()
    sweep: Any = launcher.sweep(
        *CELLS, grid={"n": range(SETS)}, jobs=CORES, retries=KILLS, wait=False, resources=WHOLE_CORES
    )
    with taking(launcher, sweep.id, killed, times=kills, pause=PAUSE) as taken:
        done = sweep.wait(3000)
    seconds = time.monotonic() - began
    assert [run.result.results["square"] for run in done] == [n * n for n in range(SETS)]
    records = [stat.uri for stat in sweep._store.list(f"{sweep.output}/") if stat.uri.endswith(".result.json")]
    assert len(records) == SETS
    again = sum(run.result.attempt - 1 for run in done)
    assert again <= len(taken)
    first = min(moment(run.result.started_at) for run in done)
    sweep.delete()
    return Swept(seconds, first - called, len(taken), again)


def here(launcher: Launcher, output: str) -> Swept:
    """By as many processes of this machine."""
    notebooks.write(launcher.folder / "notebook.ipynb", [notebooks.Code(CELLS[0], tags=("parameters",)), *CELLS[1:]])
    began, called = time.monotonic(), time.time()
    done = nbstep.sweep(
        launcher.folder / "notebook.ipynb",
        grid={"n": range(SETS)},
        output=output,
        jobs=CORES,
        on="local",
        options={"storage": {"endpoint_url": launcher.bucket.endpoint}},
    )
    return Swept(time.monotonic() - began, min(moment(run.result.started_at) for run in done if run.result) - called)


def jobs(launcher: Launcher) -> Swept:
    """A Job for each set: the time of a few of them, for all."""
    began = time.monotonic()
    nbstep.wait_all([launcher.submit(*CELLS, params={"n": n}) for n in range(JOBS)])
    return Swept((time.monotonic() - began) * SETS / JOBS)


def test_a_sweep_of_short_sets(launcher: Launcher, capsys: pytest.CaptureFixture[str]) -> None:
    contenders: dict[str, Callable[[int], Swept]] = {
        "here, on this disk": lambda number: here(launcher, str(launcher.folder / f"here-{number}")),
        "here, into the bucket": lambda number: here(launcher, f"s3://runs/here-{number}"),
        "on the cluster": lambda _: on_cluster(launcher),
        "on the cluster, pods killed": lambda _: on_cluster(launcher, kills=KILLS),
    }
    found: dict[str, list[Swept]] = {name: [] for name in contenders}
    say(capsys, f"\n{SETS} sets of 50 ms, {CORES} at once\n{'':28} seconds  first set  killed  repeated")
    for number in range(ROUNDS):
        for name, contend in contenders.items():
            found[name].append(one := contend(number))
            say(capsys, f"{name:28} {one.seconds:7.1f}  {one.start:9.1f}  {one.taken:6}  {one.again:8}")
    say(capsys, f"{'a Job each, by ' + str(JOBS):28} {jobs(launcher).seconds:7.1f}")
    net = {name: [each.seconds - each.start for each in rounds] for name, rounds in found.items()}
    for base in ("here, on this disk", "here, into the bucket"):
        ratios = [there / beside for there, beside in zip(net["on the cluster"], net[base], strict=True)]
        words = f"median {median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
        say(capsys, f"on the cluster to {base}, from the first set on: {words}")


def say(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
