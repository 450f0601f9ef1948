"""No process of a run is left behind, however far it wandered."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from support import processes
from support.runs import run, start

WANDERERS = """
import os, subprocess, sys
subprocess.Popen(['sleep', '600'])
subprocess.Popen(['sleep', '600'], start_new_session=True)
subprocess.Popen(['sh', '-c', 'sleep 600 & sleep 600'], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for descriptor in range(256):
            try: os.close(descriptor)
            except OSError: pass
        os.execvp('sleep', ['sleep', '600'])
    os._exit(0)
print('begun', flush=True)
"""


@pytest.mark.fault(13)
def test_children_and_daemons_end_with_the_run(tmp_path: Path) -> None:
    done = run(tmp_path, [WANDERERS])
    assert (done.code, done.states) == (0, ["succeeded"])


@pytest.mark.fault(13)
@pytest.mark.fault(12)
def test_children_and_daemons_end_with_a_runner_that_is_killed(tmp_path: Path) -> None:
    with start(tmp_path, [WANDERERS + "import time; time.sleep(600)"]) as running:
        running.wait_for("begun")
        assert len(processes.marked(running.mark)) >= 7
        done = running.signal(signal.SIGKILL).finish(10)
    assert done.code == -signal.SIGKILL
    assert done.record["state"] == "running"
    assert not done.output.exists()


@pytest.mark.fault(13)
def test_temporary_folders_go_with_the_run(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = run(tmp_path, ["print(1)"], env={"TMPDIR": str(temporary)})
    assert done.code == 0
    assert list(temporary.iterdir()) == []
    with start(tmp_path, [WANDERERS + "import time; time.sleep(600)"], env={"TMPDIR": str(temporary)}) as running:
        running.wait_for("begun").signal(signal.SIGKILL).finish(10)
    assert processes.until(lambda: not list(temporary.iterdir()), 5)


def test_exit_handlers_run_even_where_a_child_was_never_waited_for(tmp_path: Path) -> None:
    cell = """
import atexit, pathlib, subprocess
subprocess.Popen(['sleep', '600'])
atexit.register(lambda: pathlib.Path('{folder}/handled').touch())
"""
    done = run(tmp_path, [cell.format(folder=tmp_path)], seconds=10)
    assert (done.code, (tmp_path / "handled").exists()) == (0, True)
