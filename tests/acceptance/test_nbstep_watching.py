"""Watching a run: Ctrl-C ends the watching alone, and a failed run's traceback is shown wherever one asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import nbstep
from nbstep_runner.contract import RunState
from nbstep_runner.errors import CellFailedError
from support import notebooks

pytestmark = pytest.mark.usefixtures("own_state")

NBSTEP = Path(sys.executable).with_name("nbstep")


def begun(name: str) -> nbstep.Run:
    """A run whose cell has begun to wait."""
    path = notebooks.write(Path(f"{name}.ipynb"), ["print('begun', flush=True)\nimport time\ntime.sleep(600)"])
    run = nbstep.submit(path, on="local", run_id=name, html=False)
    next(line for line in run.lines(follow=True) if line.message == "begun")
    return run


def watch(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [NBSTEP, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        start_new_session=True,
    )


def test_no_exit_code_depends_on_who_reads() -> None:
    notebooks.write(Path("fails.ipynb"), ["1 / 0"])
    with pytest.raises(CellFailedError):
        nbstep.run("fails.ipynb", "out.ipynb")
    for command, code in (("wait out.ipynb --json", 10), ("logs out.ipynb", 0), ("params fails.ipynb", 0)):
        unread, write = os.pipe()
        os.close(unread)
        with os.fdopen(write, "wb") as pipe:
            done = subprocess.run([NBSTEP, *command.split()], stdout=pipe, stderr=subprocess.PIPE, check=False)
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False), command
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([NBSTEP, "list", "--runs", "."], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 75
    assert done.stderr.decode().splitlines() == [
        "nbstep: what is printed cannot be written: No space left on device",
        "Make room where it goes, and run it again.",
    ]


def test_closed_standard_streams_change_no_exit_code() -> None:
    notebooks.write(Path("in.ipynb"), ["1"])
    for command, closed in (("params in.ipynb", ">&-"), ("list --runs .", "<&- >&- 2>&-"), ("params no.ipynb", "2>&-")):
        done = subprocess.run(f"{NBSTEP} {command} {closed}", shell=True, capture_output=True, check=False)  # noqa: S602 - a shell closes them
        assert (done.returncode, done.stderr) == (66 if "no." in command else 0, b""), command


@pytest.mark.slow
def test_an_interrupt_ends_the_watching_and_says_how_to_come_back() -> None:
    run = begun("goes-on")
    with watch("logs", "-f", str(run)) as process:
        assert process.stdout is not None
        while "begun" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"the run goes on. Follow it again with: nbstep logs -f {run}" in said
    assert f"nbstep cancel {run}" in said
    assert run.state is RunState.RUNNING
    run.cancel()
    assert run.wait(60, check=False).state is RunState.CANCELLED


@pytest.mark.slow
def test_a_second_interrupt_cancels_where_that_was_asked_for() -> None:
    run = begun("ends")
    with watch("logs", "-f", str(run), "--cancel-on-second-interrupt") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while "begun" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        while "Ctrl-C again asks it to save and end" not in process.stderr.readline():
            pass
        assert run.state is RunState.RUNNING
        process.send_signal(signal.SIGINT)
        shown, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "run cancelled" in shown
    assert str(run.state) == "cancelled"


@pytest.mark.slow
def test_a_failed_run_shows_its_traceback_wherever_one_asks() -> None:
    path = notebooks.write(Path("fails.ipynb"), ["def load():\n    raise ValueError('no \\x1b[2Jdata')\nload()"])
    shown = subprocess.run(
        [NBSTEP, "submit", path, "--on", "local", "--wait", "--run-id", "fails", "--no-html"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert shown.returncode == 10
    assert "raise ValueError('no" in shown.stderr
    for command in ("status", "logs"):
        done = subprocess.run([NBSTEP, command, "fails"], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert "raise ValueError('no" in done.stdout
        assert "\x1b" not in done.stdout
