"""Signals to the runner and to its kernel, at every phase of a run and at random moments.

``NBSTEP_FAULT_POINTS`` sets the number of random moments; the default keeps the whole sweep within minutes.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from faults import held_runner
from faults.trial import CODES, again, begin, end, reach
from support import processes
from support.runs import Running

RANDOM_POINTS = int(os.environ.get("NBSTEP_FAULT_POINTS", "100"))
POINTS = tuple(held_runner.points(held_runner.Barrier(Path())))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP)
WITH_KERNEL = (
    "kernel-start",
    "kernel-ready",
    "cell",
    "checkpoint",
    "checkpoint-placing",
    "checkpoint-placed",
    "kernel-end",
)
CELL_FAILED, TIMED_OUT, KERNEL_DIED, KERNEL_UNAVAILABLE = 10, 11, 12, 78
LONGEST_WALK = 1.6

Tried = Callable[[str, float], None]


@dataclass(frozen=True)
class Hit:
    """A signal at a random moment of a run.

    Attributes:
        moment: Seconds from the runner's start.
    """

    seed: int
    number: signal.Signals
    to_kernel: bool
    moment: float

    @classmethod
    def of(cls, seed: int) -> Self:
        chance = random.Random(seed)  # noqa: S311 - where to hit, not a secret
        return cls(seed, chance.choice(SIGNALS), chance.random() < 0.25, chance.uniform(0, LONGEST_WALK))

    @property
    def stops_kernel(self) -> bool:
        """Whether the run has to wait until it knows that its kernel does nothing any more."""
        return self.to_kernel and self.number == signal.SIGSTOP


HITS = tuple(map(Hit.of, range(RANDOM_POINTS)))


@pytest.mark.fault(10)
@pytest.mark.fault(11)
@pytest.mark.fault(12)
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("point", POINTS)
def test_the_runner_at(point: str, number: signal.Signals, tmp_path: Path, tried: Tried) -> None:
    with begin(tmp_path, point=point) as running:
        reach(running, tmp_path)
        running.signal(number)
        if number == signal.SIGSTOP:
            time.sleep(0.2)
            running.signal(signal.SIGCONT)
        time.sleep(0.02)
        (tmp_path / "go").touch()
        _, seconds = end(running, CODES[number])
    again(tmp_path)
    tried(f"{number.name} to the runner, at each phase", seconds)


@pytest.mark.fault(1)
@pytest.mark.fault(4)
@pytest.mark.fault(5)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("point", WITH_KERNEL)
def test_the_kernel_at(point: str, number: signal.Signals, tmp_path: Path, tried: Tried) -> None:
    with begin(tmp_path, point=point) as running:
        reach(running, tmp_path)
        os.kill(running.kernel, number)
        (tmp_path / "go").touch()
        _, seconds = end(running, {0, KERNEL_DIED, KERNEL_UNAVAILABLE})
    again(tmp_path)
    tried(f"{number.name} to the kernel, at each phase", seconds)


@pytest.mark.fault(1)
@pytest.mark.fault(4)
@pytest.mark.fault(5)
@pytest.mark.fault(12)
@pytest.mark.timeout(600)
def test_a_stopped_kernel(tmp_path: Path, tried: Tried) -> None:
    """At each phase and at random moments: one run after the other, but all of them wait together for their kernels."""
    codes = {0, CELL_FAILED, TIMED_OUT, KERNEL_DIED, KERNEL_UNAVAILABLE}
    with ExitStack() as stack:
        runs = []
        for point in WITH_KERNEL:
            folder = tmp_path / point
            folder.mkdir()
            running = stack.enter_context(begin(folder, point=point))
            reach(running, folder)
            os.kill(running.kernel, signal.SIGSTOP)
            (folder / "go").touch()
            runs.append((running, codes - {CELL_FAILED}, "SIGSTOP to the kernel, at each phase"))
        for hit in [hit for hit in HITS if hit.stops_kernel]:
            folder = tmp_path / str(hit.seed)
            folder.mkdir()
            running = stack.enter_context(begin(folder))
            strike(running, hit)
            runs.append((running, codes, "SIGSTOP to the kernel, at random moments"))
        for running, wanted, name in runs:
            done, seconds = end(running, wanted)
            again(done.output.parent)
            tried(name, seconds)


@pytest.mark.fault(53)
@pytest.mark.parametrize("point", POINTS)
def test_the_watchdog_at(point: str, tmp_path: Path, tried: Tried) -> None:
    with begin(tmp_path, point=point) as running:
        reach(running, tmp_path)
        os.kill(running.watchdog, signal.SIGKILL)
        (tmp_path / "go").touch()
        _, seconds = end(running, {0})
    again(tmp_path)
    tried("SIGKILL to the watchdog, at each phase", seconds)


@pytest.mark.fault(12)
@pytest.mark.parametrize("hit", [hit for hit in HITS if not hit.stops_kernel], ids=lambda hit: str(hit.seed))
def test_at_a_random_moment(hit: Hit, tmp_path: Path, tried: Tried) -> None:
    codes = {0, CELL_FAILED, TIMED_OUT, KERNEL_DIED, KERNEL_UNAVAILABLE} if hit.to_kernel else CODES[hit.number]
    with begin(tmp_path) as running:
        strike(running, hit)
        _, seconds = end(running, codes)
    again(tmp_path)
    tried(f"{hit.number.name} to the {'kernel' if hit.to_kernel else 'runner'}, at random moments", seconds)


def strike(running: Running, hit: Hit) -> None:
    """Send the signal to the runner, or to its kernel where there is one; a stopped runner goes on after a moment."""
    time.sleep(hit.moment)
    if hit.to_kernel:
        for pid in processes.marked(running.mark):
            if "connection.json" in processes.command_of(pid):
                os.kill(pid, hit.number)
    elif not running.ended:
        running.signal(hit.number)
        if hit.number == signal.SIGSTOP:
            time.sleep(0.2)
            running.signal(signal.SIGCONT)
