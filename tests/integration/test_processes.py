"""The processes of a run, against real ones: daemons, stubborn ones, bombs, orphans, and as PID 1."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nbstep_runner import processes
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.processes import TOKEN_VARIABLE, kill_tree, reap_zombies

SOURCE = str(Path(processes.__file__).parents[1])

DAEMON = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
open(sys.argv[1] + ".tmp", "w").write(str(os.getpid()))
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
time.sleep(600)
"""
"""Leaves its session, its group and its parent, then says its pid."""

STARTS_A_DAEMON = f"""
import os, subprocess, sys, time
subprocess.run([sys.executable, "-c", {DAEMON!r}, sys.argv[1]], env=eval(sys.argv[2]) if len(sys.argv) > 2 else None)
subprocess.Popen(["sleep", "600"], start_new_session=True)
time.sleep(600)
"""


def python(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], text=True, **options)


def pid_in(path: Path) -> int:
    deadline = time.monotonic() + 20
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return int(path.read_text())


def descendants(pid: int) -> list[int]:
    """Those that live, parents before their children."""
    children = [each for each in processes.find_all().values() if each.parent == pid and not each.ended]
    return [found for child in children for found in (child.pid, *descendants(child.pid))]


def alive(pid: int) -> bool:
    process = processes.find(pid)
    return process is not None and not process.ended


def test_descendants_are_found_parents_first(tmp_path: Path) -> None:
    child = python(
        "import os, subprocess, sys\n"
        "subprocess.Popen(['sh', '-c', 'echo $$ > \"$0.tmp\"; mv \"$0.tmp\" \"$0\"; sleep 600; :', sys.argv[1]],"
        " start_new_session=True).wait()",
        str(tmp_path / "pid"),
    )
    shell = pid_in(tmp_path / "pid")
    deadline = time.monotonic() + 10
    while len(descendants(child.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    found = descendants(child.pid)
    assert found[0] == shell
    assert len(found) == 2
    assert kill_tree(child.pid, grace=0) == []
    assert child.wait() == -signal.SIGKILL
    assert descendants(child.pid) == []


def test_a_daemon_is_found_by_its_token_even_when_the_kernel_is_gone(tmp_path: Path) -> None:
    token = uuid.uuid4().hex
    kernel = python(STARTS_A_DAEMON, str(tmp_path / "pid"), env={**os.environ, TOKEN_VARIABLE: token})
    daemon = pid_in(tmp_path / "pid")
    assert daemon not in descendants(kernel.pid)
    kernel.kill()
    kernel.wait()
    assert alive(daemon)
    assert kill_tree(kernel.pid, grace=0, token=token) == []
    assert not alive(daemon)


def test_processes_of_another_run_and_other_children_are_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "600"], env={**os.environ, TOKEN_VARIABLE: "another"})
    unmarked = subprocess.Popen(["sleep", "600"])
    kernel = python(STARTS_A_DAEMON, str(tmp_path / "pid"), env={**os.environ, TOKEN_VARIABLE: "this-one"})
    pid_in(tmp_path / "pid")
    assert kill_tree(kernel.pid, grace=0, token="this-one") == []  # noqa: S106 - no password
    assert kernel.wait() == -signal.SIGKILL, "its status is left to whoever waits for it"
    for process in (other, unmarked):
        assert process.poll() is None
        process.kill()
        process.wait()


def test_a_run_that_lost_its_runner_is_ended_by_its_token(tmp_path: Path) -> None:
    token = uuid.uuid4().hex
    kernel = python(STARTS_A_DAEMON, str(tmp_path / "pid"), env={**os.environ, TOKEN_VARIABLE: token})
    daemon = pid_in(tmp_path / "pid")
    script = f"from nbstep_runner.processes import kill_tree; print(kill_tree(0, grace=0.0, token={token!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": SOURCE}, capture_output=True, text=True, check=True
    )
    kernel.wait()
    assert done.stdout == "[]\n"
    assert not alive(daemon)


def test_a_token_never_ends_its_own_bearer_or_what_it_comes_from() -> None:
    script = (
        "import os, subprocess\n"
        "from nbstep_runner.processes import kill_tree\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "left = kill_tree(0, grace=0.0, token=os.environ['NBSTEP_RUN_TOKEN'])\n"
        "print(left, child.wait())"
    )
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1"; echo shell lives', sys.executable, script],
        env={**os.environ, "PYTHONPATH": SOURCE, TOKEN_VARIABLE: "nested"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[] 0\nshell lives\n"


def test_there_is_time_to_clean_up_and_no_more(tmp_path: Path) -> None:
    tidy = python(
        "import signal, sys, time, pathlib\n"
        "def tidy(*_):\n    time.sleep(0.2); pathlib.Path(sys.argv[1]).write_text('tidied'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, tidy); print('ready', flush=True); time.sleep(600)",
        str(tmp_path / "tidied"),
        stdout=subprocess.PIPE,
    )
    stubborn = python(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
        stdout=subprocess.PIPE,
    )
    for process in (tidy, stubborn):
        assert process.stdout
        process.stdout.readline()
    started = time.monotonic()
    assert kill_tree(tidy.pid, grace=60) == []
    assert time.monotonic() - started < 50, "whoever is done is not waited for"
    assert tidy.wait() == 0
    assert (tmp_path / "tidied").read_text() == "tidied"
    started = time.monotonic()
    assert kill_tree(stubborn.pid, grace=0.5) == []
    assert 0.5 <= time.monotonic() - started < 30
    assert stubborn.wait() == -signal.SIGKILL
    for process in (tidy, stubborn):
        assert process.stdout
        process.stdout.close()


@pytest.mark.parametrize("grace", [0.0, 2.0])
def test_a_stopped_process_ends_too(grace: float) -> None:
    child = subprocess.Popen(["sleep", "600"])
    child.send_signal(signal.SIGSTOP)
    assert kill_tree(child.pid, grace=grace) == []
    assert child.wait() == (-signal.SIGTERM if grace else -signal.SIGKILL)


def test_a_pid_that_is_no_child_of_ours_is_not_touched() -> None:
    process = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    grandchild = int(process.stdout.readline())
    assert kill_tree(grandchild, grace=0) == []
    assert alive(grandchild)
    assert kill_tree(process.pid, grace=0) == []
    assert not alive(grandchild)
    process.communicate()


def test_a_pid_that_was_given_away_is_not_signalled() -> None:
    child = subprocess.Popen(["sleep", "600"])
    present = processes.find(child.pid)
    assert present
    processes._signal(present._replace(started=present.started - 1), signal.SIGKILL)
    time.sleep(0.05)
    assert child.poll() is None
    processes._signal(present, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


def test_zombies_are_reaped_except_those_that_others_wait_for() -> None:
    kept = subprocess.Popen(["true"])
    taken = os.posix_spawn(shutil.which("true") or "", ["true"], os.environ)
    os.waitid(os.P_PID, kept.pid, os.WEXITED | os.WNOWAIT)
    os.waitid(os.P_PID, taken, os.WEXITED | os.WNOWAIT)
    living = subprocess.Popen(["sleep", "600"])
    reaped = reap_zombies(exclude=[kept.pid])
    assert taken in reaped
    assert kept.pid not in reaped
    assert living.pid not in reaped
    assert kept.wait() == 0
    living.kill()
    living.wait()


ADOPT = """
import json, os, subprocess, sys, time
from nbstep_runner.processes import become_subreaper, kill_tree, reap_zombies
if os.getpid() != 1:
    assert become_subreaper()
kernel = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2], "{}"])
spared = subprocess.Popen(["sleep", "600"])
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
daemon = int(open(sys.argv[2]).read())
while True:
    parent = int(open(f"/proc/{daemon}/stat").read().rpartition(")")[2].split()[1])
    if parent == os.getpid():
        break
    time.sleep(0.01)
kernel.kill()
status = kernel.wait()
left = kill_tree(kernel.pid, grace=0, own_all_children=True, exclude=[spared.pid])
lives = spared.poll() is None
spared.kill()
spared.wait()
try:
    os.waitpid(-1, os.WNOHANG)
    childless = False
except ChildProcessError:
    childless = True
print(json.dumps({"pid": os.getpid(), "left": left, "childless": childless, "spared": lives, "status": status,
                  "daemon": os.path.exists(f"/proc/{daemon}"), "zombies": reap_zombies()}))
"""
"""The daemon's environment is empty, and the kernel is dead: only adoption finds it."""


def adopted(command: list[str], tmp_path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [*command, sys.executable, "-c", ADOPT, STARTS_A_DAEMON, str(tmp_path / "pid")],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_runner_adopts_and_ends_what_hides(tmp_path: Path) -> None:
    answer = adopted([], tmp_path)
    assert answer.pop("pid") != 1
    assert answer == {
        "left": [], "childless": True, "spared": True, "status": -9, "daemon": False, "zombies": [],
    }  # fmt: skip


def test_the_same_as_pid_1(tmp_path: Path) -> None:
    namespace = ["unshare", "--pid", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*namespace, "true"], check=False).returncode != 0:
        pytest.skip("no PID namespace can be made here")
    answer = adopted(namespace, tmp_path)
    assert answer == {
        "pid": 1, "left": [], "childless": True, "spared": True, "status": -9, "daemon": False, "zombies": [],
    }  # fmt: skip


@pytest.fixture
def pids_cgroup() -> Iterator[Path]:
    """A real cgroup that holds at most 40 processes."""
    folder = Path("/sys/fs/cgroup/pids") / f"nbstep-test-{os.getpid()}"
    if not folder.parent.is_dir() or MemoryWatch.start().oom_kills() is None:
        pytest.skip("this system shows no pids cgroup of version 1")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    (folder / "pids.max").write_text("40")
    yield folder
    for pid in map(int, (folder / "cgroup.procs").read_text().split()):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while int((folder / "pids.current").read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)  # until init has reaped the orphans
    folder.rmdir()


BOMB = """
import os, sys
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
while True:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        pass
"""


def test_a_fork_bomb_under_a_limit_is_ended(pids_cgroup: Path) -> None:
    token = uuid.uuid4().hex
    bomb = python(BOMB, str(pids_cgroup), env={**os.environ, TOKEN_VARIABLE: token})
    deadline = time.monotonic() + 60
    while int((pids_cgroup / "pids.current").read_text()) < 40 and time.monotonic() < deadline:
        time.sleep(0.01)
    started = time.monotonic()
    left = kill_tree(bomb.pid, grace=0, token=token)
    assert left == []
    assert time.monotonic() - started < 40
    assert bomb.wait() == -signal.SIGKILL
    members = map(int, (pids_cgroup / "cgroup.procs").read_text().split())
    assert not any(alive(member) for member in members)


def test_a_token_that_no_process_carries_is_looked_for_quickly() -> None:
    started = time.monotonic()
    assert kill_tree(0, grace=0.0, token=uuid.uuid4().hex) == []
    assert time.monotonic() - started < 10
