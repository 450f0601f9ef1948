"""Local runs without a notebook: any small program stands for the runner, since a backend only knows its process."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from nbstep.backends.local.backend import LocalBackend
from nbstep.backends.local.folders import Process
from nbstep.backends.local.process import signals_to
from nbstep.backends.protocol import Phase, Plan, Submission
from nbstep.errors import NotStartedError, RunNotFoundError
from nbstep.profiles import Profile, Reference
from nbstep_runner.contract import RunSpec, StorageOptions
from nbstep_runner.errors import UsageError
from nbstep_runner.processes import host_identity, started_at
from nbstep_runner.supervisor import Supervisor
from support import processes

BACKEND = LocalBackend()
WAITS = "import sys, time; print('begun', flush=True); time.sleep(600)"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "nbstep/local"


def submission(runs: str = "runs", **profile: object) -> Submission:
    spec = RunSpec(run_id="r", input_uri=f"{runs}/r/input.ipynb", output_uri=f"{runs}/r/output.ipynb")
    return Submission(spec=spec, spec_uri=f"{runs}/r/spec.json", profile=msgspec.convert(profile, Profile))


def running(program: str, runs: str = "runs") -> Plan:
    """The plan of a run, with another program in the runner's place."""
    plan = BACKEND.plan(submission(runs))
    return replace(plan, body={**plan.body, "command": [sys.executable, "-c", program]})


def started(program: str) -> str:
    plan = running(program)
    BACKEND.submit(plan)
    return plan.handle


def lines_of(handle: str) -> Sequence[bytes]:
    return [line for line in BACKEND.logs(handle, follow=True) if line is not None]


def test_a_plan_says_what_would_run_and_where(state: Path) -> None:
    plan = BACKEND.plan(submission(env={"MODE": "a b"}))
    scheme, key, run_id = plan.handle.replace("://", "/").split("/")
    assert (scheme, run_id) == ("local", "r")
    first, second = plan.text.splitlines()
    assert first == f"cd {state / f'r.{key}/work'}"
    assert second.startswith("MODE='a b' ")
    assert "--spec runs/r/spec.json" in second
    assert not state.exists()


def test_a_secret_of_a_cluster_is_refused() -> None:
    with pytest.raises(UsageError, match="TOKEN"):
        BACKEND.plan(submission(env={"TOKEN": Reference(config_map="api", key="token")}))


def test_the_end_of_a_followed_run_is_heard_of_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbstep.backends.local.backend.LOOK_SECONDS", 600)
    handle = started("import time; print('begun', flush=True); time.sleep(0.5); print('ended')")
    assert lines_of(handle)[-1] == b"ended"


def test_a_process_writes_its_log_and_ends() -> None:
    handle = started("import os, sys; print(os.getcwd()); print('no newline', end='')\nsys.exit('last words')")
    folder, rest, words = lines_of(handle)
    assert b"/nbstep/local/r." in folder
    assert (rest, words) == (b"no newline", b"last words")
    status = BACKEND.statuses([handle])[handle]
    assert (status.phase, status.problems, status.cancelled) == (Phase.ENDED, ("last words",), False)


def test_a_folder_that_cannot_be_written_is_told_with_the_way_to_another(tmp_path: Path) -> None:
    (tmp_path / "nbstep").touch()
    with pytest.raises(NotStartedError, match=f"{tmp_path}/nbstep/local/r") as refused:
        started("print('begun')")
    assert "XDG_STATE_HOME" in refused.value.hint


def test_a_process_that_nobody_could_find_again_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Process] = []

    def refuse(_: Path, process: Process) -> None:
        begun.append(process)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nbstep.backends.local.backend.write_process", refuse)
    with pytest.raises(NotStartedError, match="No space left on device"):
        started(WAITS)
    assert processes.until(lambda: not begun[0].alive, 30)


def test_a_user_without_a_home_is_told_what_to_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "~")  # what expanding it gives where the user is in no list of users
    with pytest.raises(UsageError, match="this user has no home") as refused:
        BACKEND.plan(submission())
    assert "XDG_STATE_HOME" in refused.value.hint


def test_an_environment_that_no_process_can_have_is_told(state: Path) -> None:
    plan = BACKEND.plan(submission(env={"A": "x" * 2**20}))
    with pytest.raises(NotStartedError, match="larger than a process can have"):
        BACKEND.submit(plan)
    assert state.exists()


def test_submitted_twice_it_is_one_process() -> None:
    plan = running("print('once')")
    BACKEND.submit(plan)
    BACKEND.submit(plan)
    assert lines_of(plan.handle) == [b"once"]


def test_it_is_found_again_and_cancelled() -> None:
    handle = started(WAITS)
    assert next(filter(None, BACKEND.logs(handle, follow=True))) == b"begun"
    assert BACKEND.statuses([handle])[handle].phase is Phase.RUNNING
    assert LocalBackend().locate(handle).output_uri == "runs/r/output.ipynb"
    BACKEND.cancel(handle)
    assert lines_of(handle) == [b"begun"]
    status = BACKEND.statuses([handle])[handle]
    assert (status.phase, status.cancelled) == (Phase.ENDED, True)
    BACKEND.cancel(handle)  # one that has ended stays as it is


def test_runs_of_one_id_below_two_folders_are_two_runs() -> None:
    here = started(WAITS)
    assert LocalBackend().full_handle("local://r") == here
    there = running("print('other')", "elsewhere")
    BACKEND.submit(there)
    assert lines_of(there.handle) == [b"other"]
    assert next(filter(None, BACKEND.logs(here, follow=True))) == b"begun"
    assert BACKEND.statuses([here])[here].phase is Phase.RUNNING
    with pytest.raises(RunNotFoundError) as refused:
        BACKEND.cancel("local://r")
    for candidate in (here, there.handle, "runs/r/output.ipynb", "elsewhere/r/output.ipynb"):
        assert candidate in str(refused.value)
    BACKEND.forget(there.handle)
    BACKEND.cancel("local://r")
    assert lines_of(here) == [b"begun"]


def test_a_run_that_an_older_version_started_is_found_and_not_started_again(state: Path) -> None:
    plan = running("print('once')")
    BACKEND.submit(plan)
    lines_of(plan.handle)
    Path(plan.body["folder"]).rename(state / "r")
    again = running("print('twice')")
    BACKEND.submit(again)
    assert lines_of(again.handle) == lines_of("local://r") == [b"once"]
    BACKEND.submit(running("print('other')", "elsewhere"))
    assert LocalBackend().locate("local://r").output_uri == "runs/r/output.ipynb"


def test_a_run_that_nobody_started_is_not_found() -> None:
    for ask in (BACKEND.locate, BACKEND.cancel, lines_of):
        with pytest.raises(RunNotFoundError, match=r"no local run local://r"):
            ask("local://r")
    assert BACKEND.statuses(["local://r"])["local://r"].phase is Phase.GONE
    with pytest.raises(UsageError, match="refused"):
        BACKEND.locate("local://../../etc")


def test_a_child_that_only_has_a_runs_pid_is_not_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(3)"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and waits for its parent
    for boot, began in (("another boot", started_at(child.pid)), (host_identity(), 1)):
        process = Process(pid=child.pid, started=began, boot=boot, spec_uri="", output_uri="", storage=StorageOptions())
        assert not process.alive
    assert child.wait() == 3


def test_a_hangup_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        heard: list[int] = []
        with signals_to(heard.append), Supervisor(1.0) as supervisor:
            os.kill(os.getpid(), signal.SIGHUP)
            assert supervisor.stop is None
        assert heard == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
