"""Clocks that jump, owners that sleep through their lease, readers that stop."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from support.runs import run, start

Tried = Callable[[str, float], None]
JUMPING_RUNNER = Path(__file__).with_name("jumping_runner.py")
SHORT_LEASE = """
from nbstep_runner.session import claim
claim.LEASE_SECONDS = 5.0
from nbstep_runner.cli.main import main
main()
"""
"""A runner whose claim ends sooner than usual without a heartbeat, and says so to whoever waits for it."""
JUMP = """
import pathlib, time
time.sleep(0.5)
pathlib.Path({switch!r}).touch()
for step in range(5):
    time.sleep(0.3)
    print('step', step)
"""


@pytest.mark.fault(14)
@pytest.mark.parametrize("hours", [2, -2])
def test_the_clock_jumps_in_mid_cell(tmp_path: Path, tried: Tried, hours: int) -> None:
    switch = tmp_path / "switch"
    command = (sys.executable, str(JUMPING_RUNNER), str(hours * 3600), str(switch))
    cells = [JUMP.format(switch=str(switch)), "print('after')"]
    deadlines = ("--execution-timeout", "20", "--run-timeout", "30", "--stall-timeout", "5")
    done = run(tmp_path, cells, *deadlines, "--autosave-cell-every", "0.2", command=command, seconds=30)
    assert (done.code, done.states) == (0, ["succeeded", "succeeded"])
    assert 1.9 < done.record["cells"][0]["seconds"] < 18
    assert 1.9 < done.record["seconds"] < 29
    jumped = datetime.fromisoformat(done.record["ended_at"]) - datetime.fromisoformat(done.record["started_at"])
    assert round(jumped.total_seconds() / 3600) == hours
    tried(f"clock jumps by {hours:+} h", done.seconds)


@pytest.mark.fault(6)
@pytest.mark.fault(14)
@pytest.mark.parametrize("hours", [2, -2])
def test_a_deadline_holds_while_the_clock_jumps(tmp_path: Path, tried: Tried, hours: int) -> None:
    switch = tmp_path / "switch"
    command = (sys.executable, str(JUMPING_RUNNER), str(hours * 3600), str(switch))
    done = run(tmp_path, [JUMP.format(switch=str(switch))], "--execution-timeout", "1", command=command, seconds=30)
    assert (done.code, done.states) == (11, ["timed_out"])
    assert 1 <= done.record["cells"][0]["seconds"] < 20
    tried(f"clock jumps by {hours:+} h before a deadline", done.seconds)


@pytest.mark.fault(24)
def test_an_owner_that_sleeps_through_its_lease_loses_to_the_next_attempt(tmp_path: Path, tried: Tried) -> None:
    cell = "import time\nprint('begun', flush=True)\ntime.sleep(3)\nprint('from attempt 1')"
    with start(tmp_path, [cell], "--run-id", "work", command=(sys.executable, "-c", SHORT_LEASE)) as first:
        first.wait_for("begun").signal(signal.SIGSTOP)
        began = time.monotonic()
        second = run(tmp_path, ["print('from attempt 2')"], "--run-id", "work", "--attempt", "2", seconds=100)
        took = time.monotonic() - began
        first.signal(signal.SIGCONT)
        late = first.finish(30)
    assert (second.code, second.record["attempt"]) == (0, 2)
    assert late.code == 73
    assert late.record == second.record
    assert late.text(0) == "from attempt 2\n"
    tried("owner stopped past its lease", took)


@pytest.mark.fault(32)
def test_a_reader_that_stops_in_mid_run(tmp_path: Path, tried: Tried) -> None:
    reader, writer = os.pipe()
    cell = "for i in range(3): print('\\n'.join(['x' * 99] * 20_000))\nprint('begun', flush=True)"
    with start(tmp_path, [cell, cell], stdout=writer) as running:
        os.close(writer)
        os.read(reader, 1000)
        done = running.finish(30)
    os.close(reader)
    assert (done.code, done.states) == (0, ["succeeded", "succeeded"])
    assert done.place.with_suffix(".log.jsonl").read_bytes().count(b"x") > 120_000 * 99
    tried("log reader stops", done.seconds)
