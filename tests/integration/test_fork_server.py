"""Kernels from a real fork server: what they are given, what they are like, and that none of them stays."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nbstep_runner.kernel import specs
from nbstep_runner.kernel.forked import ForkedProcess
from nbstep_runner.kernel.launched import LaunchedProcess
from nbstep_runner.kernel.process import KernelProcess, LaunchOptions
from nbstep_runner.sweep.pool import ServerProcess, WarmPool
from support import kernels, processes
from support.kernel_session import Session

TESTS = Path(__file__).parents[1]

WANDERERS = """
import os, subprocess
subprocess.Popen(['sleep', '600'])
subprocess.Popen(['sleep', '600'], start_new_session=True, env={'PATH': os.environ['PATH']})
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        import time; time.sleep(600)
    os._exit(0)
print('begun')
"""
"""A child, a daemon that carries no mark, and a fork that left its session and its parent."""


@contextmanager
def serving(folder: Path, *modules: str, env: dict[str, str] | None = None) -> Iterator[ServerProcess]:
    server = ServerProcess(replace(specs.find("python3"), env=env or {}), folder, secrets.token_hex(16))
    try:
        server.preload(modules)
        yield server
    finally:
        server.close()


@contextmanager
def kernel_of(server: ServerProcess) -> Iterator[Session]:
    options = LaunchOptions(
        working_directory=str(server.kernels.folder), token=secrets.token_hex(16), server=server.kernels
    )
    process = KernelProcess(server.kernels.spec, options)
    session = Session(process)
    try:
        assert isinstance(process._process, ForkedProcess)
        yield session
    finally:
        session.close()


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    value = secrets.token_hex(8)
    monkeypatch.setenv(processes.MARK, value)
    return value


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with serving(tmp_path_factory.mktemp("kernels"), "numpy", "json", "no_such_module") as found:
        yield found


def test_a_forked_kernel_is_a_process_like_a_launched_one(server: ServerProcess) -> None:
    with kernel_of(server) as session:
        said = session.run(
            "import os, sys, threading, json\n"
            "print(os.getpid(), os.getsid(0), os.getpgid(0), os.getcwd())\n"
            "print([os.readlink(f'/proc/self/fd/{n}') for n in (0, )], os.environ['NBSTEP_RUN_TOKEN'])\n"
            "print('numpy' in sys.modules, 'debugpy' in sys.modules, '' in sys.path, sys.argv[1])\n"
            "print([name for name in sys.modules if name.startswith('fork')], __name__)"
        ).splitlines()
        pid, sid, group, folder = said[0].split()
        assert int(pid) == int(sid) == int(group) == session.process.pid
        assert folder == str(server.kernels.folder)
        assert said[1] == f"['/dev/null'] {session.process.options.token}"
        assert said[2] == "True False True -f"
        assert said[3] == "[] __main__"


def test_kernels_share_nothing(server: ServerProcess) -> None:
    draw = "import random, numpy.random; print(random.random(), numpy.random.random(), x if 'x' in globals() else '')"
    with kernel_of(server) as one, kernel_of(server) as other:
        assert one.process.pid != other.process.pid
        assert one.process.folder != other.process.folder
        one.run("x = 1; import os; os.environ['CHANGED'] = '1'; os.chdir('/')")
        assert (
            other.run("import os; print(os.environ.get('CHANGED'), os.getcwd())") == f"None {server.kernels.folder}\n"
        )
        drawn = {number for session in (one, other) for number in session.run(draw).split()[:2]}
        assert len(drawn) == 4, "each generator is seeded anew"


def test_it_holds_no_descriptor_of_the_server(server: ServerProcess) -> None:
    listed = (
        "import os\n"
        "fds = [f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd')]\n"
        "print([os.readlink(fd).split(':')[0] for fd in fds if os.path.lexists(fd)])"
    )
    launched = KernelProcess(server.kernels.spec, LaunchOptions(token=secrets.token_hex(16)))
    assert isinstance(launched._process, LaunchedProcess)
    alone = Session(launched)
    try:
        expected = eval(alone.run(listed))  # noqa: S307 - printed by our own line
    finally:
        alone.close()
    with kernel_of(server) as session:
        found = eval(session.run(listed))  # noqa: S307 - printed by our own line
    assert found.count("socket") == expected.count("socket")
    assert found.count("pipe") == expected.count("pipe")


def test_what_slim_kernels_promise_holds(server: ServerProcess) -> None:
    with kernel_of(server) as session:
        assert session.run("import sys; print('a'); print('b', file=sys.stderr); print('c')") == "a\nb\nc\n"
        assert session.run("import subprocess; subprocess.run(['echo', 'from outside'])") == "from outside\n"
        assert session.run("import jupyter_client; print(jupyter_client.KernelManager.__name__)") == "KernelManager\n"
        assert session.run("import faulthandler; print(faulthandler.is_enabled())") == "True\n"


def test_it_can_be_interrupted(server: ServerProcess) -> None:
    with kernel_of(server) as session:
        content = {"code": "import time; time.sleep(60)", "silent": False, "stop_on_error": False}
        session.kernel.request("execute_request", content)
        time.sleep(0.3)
        session.kernel.interrupt()
        deadline = time.monotonic() + 10
        names: list[str] = []
        while not names and time.monotonic() < deadline:
            names = [message.content["ename"] for message in session.kernel.wait(1).iopub if message.type == "error"]
        assert names == ["KeyboardInterrupt"]
        assert session.run("print('goes on')") == "goes on\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("os._exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
    ],
)
def test_its_exit_status_is_told(server: ServerProcess, code: str, status: int) -> None:
    with kernel_of(server) as session:
        session.kernel.request(
            "execute_request", {"code": f"import os, signal\n{code}", "silent": False, "store_history": True}
        )
        assert session.until_death() == status


def test_it_ends_when_asked_and_runs_its_exit_handlers(server: ServerProcess, tmp_path: Path) -> None:
    with kernel_of(server) as session:
        session.run(f"import atexit, pathlib; atexit.register(pathlib.Path('{tmp_path}/handled').touch)")
        session.kernel.request_shutdown()
        assert session.until_death() == 0
        assert (tmp_path / "handled").exists()


def test_a_crash_leaves_its_traceback_on_stderr(server: ServerProcess) -> None:
    with kernel_of(server) as session:
        content = {"code": "import ctypes; ctypes.string_at(0)", "silent": False, "store_history": True}
        session.kernel.request("execute_request", content)
        assert session.until_death() == -signal.SIGSEGV
        session.process.drain_stderr()
        assert "Segmentation fault" in session.process.stderr_tail


@pytest.mark.fault(13)
def test_nothing_of_a_kernel_stays_when_it_is_let_go(tmp_path: Path, mark: str) -> None:
    with serving(tmp_path) as server:
        assert processes.until(lambda: len(processes.marked(mark)) == 1, 60)
        with kernel_of(server) as session:
            session.run(WANDERERS)
            assert processes.until(
                lambda: len(processes.marked(mark)) >= 5, 5
            )  # the daemon without a mark is not among them
            hidden = [pid for pid in _sleepers() if pid not in processes.marked(mark)]
            guardian = _parent(session.process.pid)
        assert processes.until(lambda: set(processes.marked(mark)) == {server.pid, guardian}, 60), _left(mark)
        assert not set(hidden) & set(_sleepers())
    assert processes.until(lambda: not processes.marked(mark), 60)


def test_a_guardian_has_one_kernel_after_another(server: ServerProcess) -> None:
    guardians = set()
    for number in range(3):
        with kernel_of(server) as session:
            assert session.run("print('seen' in globals())") == "False\n"
            session.run(f"seen = {number}; import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)")
            guardians.add(_parent(session.process.pid))
    assert len(guardians) == 1
    with kernel_of(server) as one, kernel_of(server) as other:
        assert _parent(one.process.pid) != _parent(other.process.pid)


def test_a_free_guardian_that_was_killed_is_replaced(server: ServerProcess) -> None:
    with kernel_of(server) as session:
        guardian = _parent(session.process.pid)
    os.kill(guardian, signal.SIGKILL)
    assert processes.until(lambda: _dead(guardian), 60)
    with kernel_of(server) as session:
        assert session.run("print('here')") == "here\n"


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _sleepers() -> list[int]:
    found = subprocess.run(["pgrep", "-f", "^sleep 600"], capture_output=True, text=True, check=False).stdout
    return [int(pid) for pid in found.split()]


@pytest.mark.fault(13)
@pytest.mark.parametrize("victim", ["client", "guardian", "server", "owner"])
def test_nothing_stays_whoever_is_killed(tmp_path: Path, mark: str, victim: str) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    owner = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), WANDERERS, str(TESTS)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert owner.stdout is not None
        pids = dict(line.split() for line in iter(owner.stdout.readline, "ready\n"))
        assert processes.until(lambda: len(processes.marked(mark)) >= 6, 60)
        os.kill(int(pids[victim]), signal.SIGKILL)
        if victim in ("guardian", "server"):
            assert processes.until(lambda: _dead(int(pids[victim])), 60)
            time.sleep(0.2)
            os.kill(int(pids["client"]), signal.SIGTERM)  # which lets go of its kernel
        if victim != "owner":
            staying = {owner.pid, int(pids["server"]), int(pids["guardian"])}
            assert processes.until(lambda: _only(mark, staying), 60), _left(mark)
            owner.kill()
        else:
            os.kill(int(pids["client"]), signal.SIGTERM)
        owner.wait()
        assert processes.until(lambda: not processes.marked(mark), 60), _left(mark)
    finally:
        for pid in processes.marked(mark):
            os.kill(pid, signal.SIGKILL)
        owner.wait()
        owner.stdout.close() if owner.stdout else None


UNFIT = {
    "prints": "print('welcome')",
    "warns": "import warnings; warnings.warn('old', FutureWarning)",
    "threads": "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
    "connects": "import socket; kept = socket.socket()",
    "devices": "kept = open('/dev/full', 'w')",
    "looks": "from IPython import get_ipython; shell = get_ipython()",
    "looks_too": "try:\n    get_ipython()\nexcept NameError:\n    pass",
    "leaves": "raise SystemExit(3)",
    "fails": "raise ValueError('broken')",
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_module_whose_import_would_be_seen_is_left_to_the_kernels(tmp_path: Path, name: str) -> None:
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / f"{name}.py").write_text(UNFIT[name])
    (tmp_path / "packages" / "fit.py").write_text("")
    with serving(tmp_path, "fit", name, "numpy", env={"PYTHONPATH": str(tmp_path / "packages")}) as server:
        with kernel_of(server) as session:
            said = session.run(f"import sys; print([each in sys.modules for each in ('fit', {name!r}, 'numpy')])")
            assert said == "[True, False, True]\n"
        expected = "" if name in ("leaves", "fails") else f"{name} is left to the kernels: it "
        assert server.said.read_text().startswith(expected)


def test_modules_beside_the_notebook_are_not_imported_before_the_fork(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("value = 1")
    (tmp_path / "json.py").write_text("value = 'shadow'")
    with serving(tmp_path, "own", "numpy") as server, kernel_of(server) as session:
        assert session.run("import sys; print('own' in sys.modules); import own; print(own.value)") == "False\n1\n"


def test_pandas_is_told_that_there_is_a_kernel(tmp_path: Path) -> None:
    asked = "import sys; print('pandas' in sys.modules); import pandas; print(pandas.get_option('display.max_columns'))"
    with serving(tmp_path, "pandas") as server, kernel_of(server) as session:
        assert session.run(asked) == "True\n20\n"


def test_without_a_server_that_answers_the_kernel_is_launched(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        os.kill(server.pid, signal.SIGKILL)
        process = KernelProcess(
            server.kernels.spec,
            LaunchOptions(working_directory=str(tmp_path), token=secrets.token_hex(16), server=server.kernels),
        )
        assert isinstance(process._process, LaunchedProcess)
        process.dispose()


def test_kernels_that_a_server_does_not_make_are_launched(server: ServerProcess, tmp_path: Path) -> None:
    spec, folder = server.kernels.spec, str(server.kernels.folder)
    assert server.kernels.makes(spec, folder)
    assert not server.kernels.makes(spec, str(tmp_path))
    assert not server.kernels.makes(replace(spec, env={"A": "1"}), folder)
    assert not server.kernels.makes(replace(spec, argv=("python3.9", *spec.argv[1:])), folder)


def test_a_pool_replaces_its_server_when_it_died_but_not_for_ever(tmp_path: Path) -> None:
    pool = WarmPool(None, str(tmp_path), wanted=True)
    try:
        pool.prepare("python3", "python", ())
        for _ in range(3):
            found = pool.server()
            assert found is not None
            with kernel_of_address(pool) as session:
                assert session.run("print(1)") == "1\n"
            assert pool.pid is not None
            os.kill(pool.pid, signal.SIGKILL)
            assert processes.until(lambda: _dead(pool.pid or 0), 60)
        assert pool.server() is None
    finally:
        pool.close()


@pytest.mark.parametrize("kernel", ["no-such-kernel", "other"])
def test_a_pool_has_no_server_for_kernels_that_cannot_be_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    for name, value in kernels.installed(tmp_path, "other", {"argv": ["cat"], "language": "cat"}).items():
        monkeypatch.setenv(name, value)
    pool = WarmPool(None, None, wanted=True)
    assert pool.server() is not None
    pool.prepare(kernel, None, ())
    assert pool.server() is None
    pool.close()


def test_a_pool_serves_kernels_of_other_places_than_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec: dict[str, object] = {"argv": argv, "language": "python", "env": {"ITS_OWN": "1"}}
    for name, value in kernels.installed(tmp_path, "elsewhere", spec).items():
        monkeypatch.setenv(name, value)
    pool = WarmPool("elsewhere", None, wanted=True)
    try:
        pool.prepare("elsewhere", None, ())
        found = pool.server()
        assert found is not None
        with kernel_of_address(pool) as session:
            assert isinstance(session.process._process, ForkedProcess)
            assert session.run("import os; print(os.environ['ITS_OWN'])") == "1\n"
    finally:
        pool.close()


@contextmanager
def kernel_of_address(pool: WarmPool) -> Iterator[Session]:
    found = pool.server()
    assert found is not None
    options = LaunchOptions(working_directory=str(found.folder), token=secrets.token_hex(16), server=found)
    session = Session(KernelProcess(found.spec, options))
    try:
        yield session
    finally:
        session.close()


def _only(mark: str, allowed: set[int]) -> bool:
    return set(processes.marked(mark)) <= allowed


def _left(mark: str) -> list[str]:
    return [f"{pid}: {processes.command_of(pid)}" for pid in processes.marked(mark)]


def _dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


OWNER = """
import os, secrets, signal, sys, time
from pathlib import Path
from nbstep_runner.kernel import specs
from nbstep_runner.processes import become_subreaper
from nbstep_runner.sweep.pool import ServerProcess
sys.path.insert(0, sys.argv[3])
become_subreaper()
server = ServerProcess(specs.find("python3"), Path(sys.argv[1]), secrets.token_hex(16))
server.preload([])
client = os.fork()
if client == 0:
    server.let_go()
    from support.kernel_session import Session
    from nbstep_runner.kernel.process import KernelProcess, LaunchOptions
    options = LaunchOptions(working_directory=sys.argv[1], token=secrets.token_hex(16), server=server.kernels)
    session = Session(KernelProcess(server.kernels.spec, options))
    session.run(sys.argv[2])
    guardian = int(open(f"/proc/{session.process.pid}/stat").read().rpartition(")")[2].split()[1])
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    print("guardian", guardian, flush=True)
    print("client", os.getpid(), flush=True)
    print("server", server.pid, flush=True)
    print("owner", os.getppid(), flush=True)
    print("ready", flush=True)
    while not stop:
        time.sleep(0.05)
    session.close()
    os._exit(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        time.sleep(0.05)
"""
