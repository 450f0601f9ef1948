"""Signals to the runner and to its kernel, at every phase of a run and at random moments.

``NBSTEP_FAULT_POINTS`` sets the number of random moments; the default keeps the whole sweep within minutes.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faults import held_runner
from faults.trial import CODES, again, begin, end, reach
from support import processes

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
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], ids=lambda number: number.name)
@pytest.mark.parametrize("point", WITH_KERNEL)
def test_the_kernel_at(point: str, number: signal.Signals, tmp_path: Path, tried: Tried) -> None:
    codes = {0, KERNEL_DIED, KERNEL_UNAVAILABLE} | ({TIMED_OUT} if number == signal.SIGSTOP else set())
    with begin(tmp_path, point=point) as running:
        reach(running, tmp_path)
        os.kill(running.kernel, number)
        (tmp_path / "go").touch()
        _, seconds = end(running, codes)
    again(tmp_path)
    tried(f"{number.name} to the kernel, at each phase", seconds)


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
@pytest.mark.parametrize("seed", range(RANDOM_POINTS))
def test_at_a_random_moment(seed: int, tmp_path: Path, tried: Tried) -> None:
    chance = random.Random(seed)  # noqa: S311 - where to hit, not a secret
    number = chance.choice(SIGNALS)
    to_kernel = chance.random() < 0.25
    moment = chance.uniform(0, LONGEST_WALK)
    codes = {0, CELL_FAILED, TIMED_OUT, KERNEL_DIED, KERNEL_UNAVAILABLE} if to_kernel else CODES[number]
    with begin(tmp_path) as running:
        time.sleep(moment)
        hit(running.process.pid, running.mark, number, to_kernel=to_kernel, ended=running.ended)
        _, seconds = end(running, codes)
    again(tmp_path)
    tried(f"{number.name} to the {'kernel' if to_kernel else 'runner'}, at random moments", seconds)


def hit(runner: int, mark: str, number: signal.Signals, *, to_kernel: bool, ended: bool) -> None:
    """Send the signal to the runner, or to its kernel where there is one; a stopped runner goes on after a moment."""
    if to_kernel:
        for pid in processes.marked(mark):
            if "connection.json" in processes.command_of(pid):
                os.kill(pid, number)
    elif not ended:
        os.kill(runner, number)
        if number == signal.SIGSTOP:
            time.sleep(0.2)
            os.kill(runner, signal.SIGCONT)
