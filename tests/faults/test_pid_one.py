"""The runner as PID 1 of its own PID namespace, as in a container."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.trial import CODES, again, begin, end
from support import processes
from support.needs import missing
from support.runs import RUNNER, Running, run, start

Tried = Callable[[str, float], None]
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *RUNNER)
TIDY = "import time\ntry:\n  print('begun', flush=True)\n  time.sleep(60)\nfinally: print('cleaned up')"
ORPHANS = """
import os, subprocess
for _ in range(20):
    subprocess.run(['sh', '-c', 'sh -c "sleep 0.05" & exit'])
import time; time.sleep(0.5)
pids = [pid for pid in os.listdir('/proc') if pid.isdecimal()]
states = [open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0] for pid in pids]
print('pid 1:', open('/proc/1/cmdline').read().split(chr(0))[1].rpartition('/')[2])
"""


@pytest.fixture(autouse=True)
def namespaces() -> None:
    if os.geteuid() != 0 or subprocess.run(["unshare", "--pid", "--fork", "true"], check=False).returncode:
        missing("pid-namespaces", "a PID namespace cannot be made here")


def first_process(running: Running) -> int:
    """The runner itself, below ``unshare``."""
    (runner,) = [pid for pid in processes.marked(running.mark) if inner_pid(pid) == 1]
    return runner


def inner_pid(pid: int) -> int:
    """A process's pid in its innermost namespace (``NSpid`` of proc(5)); 0 where it is in ours."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1]) if len(line.split()) > 2 else 0
    return 0


@pytest.mark.fault(10)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_in_a_cell(tmp_path: Path, tried: Tried, number: signal.Signals, code: int) -> None:
    with start(tmp_path, [TIDY, "print('after')"], command=NAMESPACE) as running:
        os.kill(first_process(running.wait_for("begun")), number)
        told = time.monotonic()
        done = running.finish(30)
    assert (done.code, done.states) == (code, ["interrupted", "not_run"])
    assert done.text(0) == "begun\ncleaned up\n"
    tried(f"{number.name} to PID 1", time.monotonic() - told)


@pytest.mark.fault(12)
@pytest.mark.fault(24)
def test_the_attempt_after_a_killed_one_waits_for_its_lease(tmp_path: Path, tried: Tried) -> None:
    """Outside of its namespace nobody can see that the owner is gone: no heartbeat has to come for long enough."""
    with start(tmp_path, [TIDY], "--run-id", "work", command=NAMESPACE) as running:
        os.kill(first_process(running.wait_for("begun")), signal.SIGKILL)
        running.finish(30, check=False)  # the exit code is that of unshare
    other = run(tmp_path, ["print('other')"], "--run-id", "other", check=False)
    assert other.code == 73
    began = time.monotonic()
    done = run(tmp_path, ["print('new')"], "--run-id", "work", "--attempt", "2", seconds=100)
    assert (done.code, done.record["attempt"], done.text(0)) == (0, 2, "new\n")
    assert time.monotonic() - began > 25
    tried("SIGKILL to PID 1, then the lease is waited for", time.monotonic() - began)


@pytest.mark.fault(10)
@pytest.mark.fault(11)
@pytest.mark.parametrize("step", range(10))
def test_a_signal_at_any_moment(tmp_path: Path, tried: Tried, step: int) -> None:
    """Before its handlers are in place the kernel lets no signal through to a PID 1: then the run is not stopped."""
    with begin(tmp_path, command=NAMESPACE) as running:
        time.sleep(0.1 + step * 0.13)
        for pid in [pid for pid in processes.marked(running.mark) if inner_pid(pid) == 1]:
            os.kill(pid, signal.SIGTERM)
        _, seconds = end(running, CODES[signal.SIGTERM])
    again(tmp_path)
    tried("SIGTERM to PID 1, at moments of a run", seconds)


@pytest.mark.fault(13)
def test_orphans_are_reaped(tmp_path: Path, tried: Tried) -> None:
    cell = ORPHANS + "print('zombies:', states.count('Z'))"
    done = run(tmp_path, [cell, "print('after')"], command=NAMESPACE)
    assert (done.code, done.states) == (0, ["succeeded", "succeeded"])
    assert done.text(0) == "pid 1: nbstep-runner\nzombies: 0\n"
    tried("orphans under PID 1", done.seconds)
