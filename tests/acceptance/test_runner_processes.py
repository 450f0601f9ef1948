"""No process of a run is left behind, however far it wandered."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from nbstep_runner.processes import runs, started_at
from support import processes
from support.notebooks import write
from support.runs import RUNNER, run, start

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
        done = running.signal(signal.SIGKILL).finish(30)
    assert done.code == -signal.SIGKILL
    assert (done.record["state"], done.error["message"]) == ("lost", "the run's process ended without a verdict")
    assert not done.output.exists()


@pytest.mark.slow
@pytest.mark.fault(13)
def test_temporary_folders_go_with_the_run(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = run(tmp_path, ["print(1)"], env={"TMPDIR": str(temporary)})
    assert done.code == 0
    assert list(temporary.iterdir()) == []
    with start(tmp_path, [WANDERERS + "import time; time.sleep(600)"], env={"TMPDIR": str(temporary)}) as running:
        running.wait_for("begun").signal(signal.SIGKILL).finish(30)
    assert processes.until(lambda: not list(temporary.iterdir()), 60)


def test_exit_handlers_run_even_where_a_child_was_never_waited_for(tmp_path: Path) -> None:
    cell = """
import atexit, pathlib, subprocess
subprocess.Popen(['sleep', '600'])
atexit.register(lambda: pathlib.Path('{folder}/handled').touch())
"""
    done = run(tmp_path, [cell.format(folder=tmp_path)], seconds=30)
    assert (done.code, (tmp_path / "handled").exists()) == (0, True)


@pytest.mark.parametrize(
    ("handler", "how"),
    [("time.sleep, 600", "did not end in time and is killed"), ("os.kill, os.getpid(), 9", "was ended by SIGKILL")],
)
def test_an_end_of_the_kernel_that_was_cut_short_is_told(tmp_path: Path, handler: str, how: str) -> None:
    done = run(tmp_path, [f"import atexit, os, time\natexit.register({handler});"], "--shutdown-timeout", "1")
    assert done.code == 0
    told = f"after the last cell the kernel {how}: what its exit handlers and threads had to do may be missing"
    assert done.record["warnings"] == [told]
    assert [line["message"] for line in done.log if line["severity"] == "WARNING"] == [told]


@pytest.mark.slow
@pytest.mark.fault(53)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda number: number.name)
@pytest.mark.parametrize("code", [0, 10])
def test_a_watchdog_that_is_killed_or_stopped_changes_no_verdict(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    failing = "\n1/0" if code else ""
    with start(tmp_path, [f"print('begun', flush=True)\nimport time; time.sleep(1){failing}"]) as running:
        os.kill(running.wait_for("begun").watchdog, number)
        done = running.finish(30)
    assert (done.code, done.record["exit_code"], done.stderr) == (code, code, "")


@pytest.mark.fault(53)
def test_daemons_that_hide_from_the_mark_end_with_a_runner_that_is_killed(tmp_path: Path) -> None:
    """They have neither its environment, nor its session, nor a parent that lives."""
    cell = """
import subprocess
subprocess.run(['env', '-i', 'sh', '-c', 'setsid sleep 600 >/dev/null 2>&1 & echo $! > {path}'])
print('begun', flush=True)
import time; time.sleep(600)
"""
    path = tmp_path / "daemon"
    with start(tmp_path, [cell.format(path=path)]) as running:
        running.wait_for("begun")
        daemon = int(path.read_text())
        started = started_at(daemon)
        assert started
        running.signal(signal.SIGKILL).finish(30)
        assert processes.until(lambda: not runs(daemon, started), 60)


LOWER = """
import os, resource, time

print('begun', flush=True)
time.sleep(0.5)  # a thread of libzmq reads what came of the cell's start, and cannot bear to be met in that

def said(pid, name):
    return open(f'/proc/{pid}/{name}', 'rb').read()

pid, runner = os.getpid(), None
while pid > 1:
    pid = int(said(pid, 'stat').rpartition(b')')[2].split()[1])
    runner = pid if b'/out.ipynb' in said(pid, 'cmdline') else runner
hard = resource.prlimit(runner, resource.RLIMIT_LIMIT)[1]
resource.prlimit(runner, resource.RLIMIT_LIMIT, (0, hard))
print('lowered')
"""


@pytest.mark.slow
@pytest.mark.fault(53)
@pytest.mark.parametrize("limit", ["AS", "CPU", "FSIZE", "NOFILE", "NPROC"])
def test_limits_that_a_notebook_lowers_for_its_runner_lose_no_record(tmp_path: Path, limit: str) -> None:
    done = run(tmp_path, [LOWER.replace("RLIMIT_LIMIT", f"RLIMIT_{limit}")])
    assert done.code == 0, done.stdout
    assert done.text(0) == "begun\nlowered\n"


@pytest.mark.fault(53)
def test_a_hard_limit_on_open_files_that_cannot_be_put_back_loses_no_record(tmp_path: Path) -> None:
    lower = LOWER.replace("RLIMIT_LIMIT", "RLIMIT_NOFILE").replace("(0, hard)", "(4, 4)")
    done = run(tmp_path, [lower, "print('on')"])
    assert (done.code, done.stderr) == (0, ""), done.stdout
    assert (done.record["state"], done.text(1)) == ("succeeded", "on\n")


@pytest.mark.fault(53)
def test_a_record_is_settled_where_no_open_file_is_left_to_a_runner(tmp_path: Path) -> None:
    """Its messaging library cannot bear that; the watchdog, which has its own limits, outlives it."""
    lower = LOWER.replace("RLIMIT_LIMIT", "RLIMIT_NOFILE").replace("(0, hard)", "(0, 0)")
    unprivileged = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", *RUNNER)
    done = run(tmp_path, [lower, "print('on')"], command=unprivileged if os.geteuid() == 0 else RUNNER)
    assert done.code < 0
    assert (done.record["state"], done.record["exit_code"], done.error["reference"]) == ("lost", 12, "lost")
    again = run(tmp_path, ["print('on')"], "--attempt", "2")
    assert again.code == 0


@pytest.mark.fault(5)
@pytest.mark.parametrize("limit", [24, pytest.param(40, marks=pytest.mark.slow)])
def test_a_limit_on_open_files_that_allows_no_kernel_is_told(tmp_path: Path, limit: int) -> None:
    limited = ["sh", "-c", f'ulimit -n {limit}; exec "$0" "$@"', *RUNNER]
    done = run(tmp_path, ["print('on')"], command=limited)
    if done.code == 0:  # with CAP_SYS_RESOURCE the limit is raised
        assert done.text(0) == "on\n"
    else:
        assert (done.code, done.error["reference"]) == (78, "kernel-unavailable")
        assert done.error["message"] == f"no kernel can be started with {limit} open files: a run needs 64"
        assert "ulimit -n" in done.error["hint"]


@pytest.mark.fault(54)
def test_a_runner_that_was_killed_and_not_reaped_blocks_no_output(tmp_path: Path) -> None:
    with start(tmp_path, ["print('begun', flush=True)\nimport time; time.sleep(600)"]) as first:
        first.wait_for("begun").signal(signal.SIGKILL)
        assert processes.until(lambda: first.ended, 60)
        second = run(tmp_path, write(tmp_path / "quick.ipynb", ["1"]), "--run-id", "another")
    assert (second.code, second.record["run_id"]) == (0, "another")


@pytest.mark.fault(55)
def test_a_local_run_is_not_submitted_from_a_run_that_would_end_it(tmp_path: Path) -> None:
    write(tmp_path / "child.ipynb", ["1"])
    submit = (
        f"nbstep.submit({str(tmp_path / 'child.ipynb')!r}, runs={str(tmp_path / 'runs')!r}, on='local', html=False)"
    )
    cell = f"import nbstep\n{submit}"
    done = run(tmp_path, [cell], env={"XDG_STATE_HOME": str(tmp_path / "state")})
    assert (done.code, done.error["exception_name"]) == (10, "UsageError")
    assert "cannot be submitted from a notebook that nbstep runs" in done.error["message"]
