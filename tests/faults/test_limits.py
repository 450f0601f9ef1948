"""Limits of a container: memory, processes, and the death of all at once."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from support import cgroups, processes
from support.runs import run, start

Tried = Callable[[str, float], None]
MIB = 2**20
EAT = "blocks = []\nfor _ in range(100): blocks.append(bytearray(16 * 2**20))"
FORK_BOMB = """
import os
for _ in range(1000):
    if os.fork() == 0:
        while True:
            try: os.fork()
            except OSError: pass
"""


@pytest.mark.fault(2)
def test_a_kernel_that_takes_too_much_memory(tmp_path: Path, tried: Tried) -> None:
    with cgroups.limited("memory", memory_limit_in_bytes=300 * MIB) as group:
        done = run(tmp_path, ["print('before')", EAT, "print('after')"], seconds=20, preexec_fn=cgroups.enter(group))
    assert (done.code, done.states) == (13, ["succeeded", "failed", "not_run"])
    assert done.error["reference"] == "out-of-memory"
    assert done.error["message"] == "the kernel was killed for memory (peak 300 MiB, limit 300 MiB)"
    assert done.text(0) == "before\n"
    tried("memory limit: kernel killed", done.record["cells"][1]["seconds"])


@pytest.mark.fault(2)
def test_a_child_that_is_killed_for_memory_is_the_cells_own_affair(tmp_path: Path, tried: Tried) -> None:
    """The counter of the group rises too, but the kernel lives: what the cell makes of it is what counts."""
    cell = f"import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', {EAT!r}]).returncode)"
    with cgroups.limited("memory", memory_limit_in_bytes=300 * MIB) as group:
        done = run(tmp_path, [cell, "print('after')"], seconds=20, preexec_fn=cgroups.enter(group))
    assert (done.code, done.states) == (0, ["succeeded", "succeeded"])
    assert done.text(0) == "-9\n"
    tried("memory limit: a child of the kernel killed", done.seconds)


@pytest.mark.fault(2)
def test_a_kill_from_outside_is_not_called_out_of_memory(tmp_path: Path, tried: Tried) -> None:
    cell = "import time\nprint('begun', flush=True)\ntime.sleep(60)"
    with (
        cgroups.limited("memory", memory_limit_in_bytes=300 * MIB) as group,
        start(tmp_path, [cell], preexec_fn=cgroups.enter(group)) as running,
    ):
        os.kill(running.wait_for("begun").kernel, signal.SIGKILL)
        done = running.finish(30)
    assert (done.code, done.error["reference"]) == (12, "kernel-died")
    tried("memory limit: kernel killed from outside", done.seconds)


@pytest.mark.fault(3)
def test_all_of_a_container_is_killed_at_once(tmp_path: Path, tried: Tried) -> None:
    """As the kubelet does past the limit: what is left is the claim, and a checkpoint not older than its interval."""
    interval = 0.3
    cell = "import time\nfor i in range(1000):\n    print('at', time.time(), flush=True)\n    time.sleep(0.05)"
    partial = tmp_path / "out.partial.ipynb"
    with start(tmp_path, ["print('first')", cell], "--run-id", "x", "--autosave-cell-every", str(interval)) as running:
        running.wait_for("at ")
        time.sleep(1.5)
        killed, told = time.time(), time.monotonic()
        for pid in processes.marked(running.mark):
            os.kill(pid, signal.SIGKILL)
        done = running.finish(30)
        took = time.monotonic() - told
    assert (done.code, done.record["state"]) == (-signal.SIGKILL, "running")
    checkpoint = nbformat.reads(partial.read_text(), as_version=4)
    nbformat.validate(checkpoint)
    assert checkpoint.cells[0].outputs[0].text == "first\n"
    last = float(checkpoint.cells[1].outputs[0].text.splitlines()[-1].split()[1])
    assert killed - last < interval + 1
    again = run(tmp_path, ["print('first')"], "--run-id", "x", "--attempt", "2")
    assert (again.code, partial.exists()) == (0, False)
    tried("whole container killed", took)


@pytest.mark.fault(13)
def test_a_fork_bomb_under_a_limit_of_processes(tmp_path: Path, tried: Tried) -> None:
    with cgroups.limited("pids", pids_max=200) as group:
        done = run(
            tmp_path,
            ["print('before')", FORK_BOMB, "print('after')"],
            *("--execution-timeout", "5", "--autosave-cell-every", "0.2"),
            seconds=40,
            preexec_fn=cgroups.enter(group),
        )
    assert done.code in (10, 11, 12), done.error
    assert done.states[0] == "succeeded"
    assert done.states[1] in ("failed", "timed_out")
    tried("fork bomb under a pids limit", done.seconds)


@pytest.mark.fault(13)
def test_no_process_can_be_started_at_all(tmp_path: Path, tried: Tried) -> None:
    with cgroups.limited("pids", pids_max=2) as group:
        done = run(tmp_path, ["print('never')"], seconds=20, check=False, preexec_fn=cgroups.enter(group))
    assert done.code not in (0, None)
    assert not done.output.exists()
    record = tmp_path / "out.result.json"
    assert not record.exists() or json.loads(record.read_text())["state"] == "failed"
    tried("no process can be started", done.seconds)
