"""The kernel room on real kernels: heard without polling, interrupted, their death explained, cleared away."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nbstep_runner.errors import KernelDiedError, KernelUnavailableError
from nbstep_runner.kernel import specs
from nbstep_runner.kernel.death import explain
from nbstep_runner.kernel.kernel import Kernel
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.kernel.process import KernelProcess, LaunchOptions
from nbstep_runner.kernel.start import await_ready
from nbstep_runner.kernel.wire import Message
from support import processes
from support.kernels import installed

TOKEN = secrets.token_hex(16)  # of this process: tests in another one must not end these kernels


class Talk:
    """A kernel that is ready, and a cell at a time."""

    def __init__(self, kernel: Kernel, wake: int) -> None:
        self.kernel, self.wake = kernel, wake

    def send(self, code: str) -> str:
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "user_expressions": {}}
        return self.kernel.request("execute_request", content)

    def until_idle(self, request: str, seconds: float = 20.0) -> tuple[list[Message], Message | None]:
        """What came on iopub until the cell's end, and the reply; whatever comes first where the kernel dies."""
        heard: list[Message] = []
        reply, idle = None, False
        end = time.monotonic() + seconds
        while not (idle and reply) and time.monotonic() < end:
            part = self.kernel.wait(end - time.monotonic())
            heard += part.iopub
            reply = next((each for each in part.shell if each.parent_id == request), reply)
            idle = idle or any(
                each.parent_id == request and each.content.get("execution_state") == "idle" for each in part.iopub
            )
            if part.died:
                return heard, None
        return heard, reply


@contextmanager
def talking(spec: specs.KernelSpec, *, stock: bool = False) -> Iterator[Talk]:
    reader, writer = os.pipe()
    process = KernelProcess(spec, LaunchOptions(stock=stock, token=TOKEN))
    kernel = Kernel(process, reader)
    try:
        await_ready(kernel, 30, lambda: None)
        yield Talk(kernel, writer)
    finally:
        process.dispose()
        kernel.close()
        os.close(reader)
        os.close(writer)


@pytest.fixture(params=[False, True], ids=["slim", "stock"])
def talk(request: pytest.FixtureRequest) -> Iterator[Talk]:
    with talking(specs.find("python3"), stock=request.param) as made:
        yield made


def text_of(messages: list[Message]) -> str:
    return "".join("".join(each.texts()) for each in messages if each.type == "stream")


def test_a_cell_from_its_request_to_its_reply(talk: Talk) -> None:
    heard, reply = talk.until_idle(talk.send("print('hello')\n1 + 1"))
    assert reply is not None
    assert (reply.type, reply.content["status"], reply.content["execution_count"]) == ("execute_reply", "ok", 1)
    assert text_of(heard) == "hello\n"
    assert [each.content["data"]["text/plain"] for each in heard if each.type == "execute_result"] == ["2"]


@pytest.mark.fault(42)
def test_its_sockets_are_files_in_a_private_folder_that_goes_with_it() -> None:
    with talking(specs.find("python3")) as talk:
        folder = talk.kernel.process.folder
        assert folder.stat().st_mode & 0o777 == 0o700
        assert talk.kernel.process.connection.transport == "ipc"
        assert len(list(folder.glob("socket-*"))) == 5
    assert not folder.exists()


def test_waiting_ends_when_the_run_is_to_look_up(talk: Talk) -> None:
    request = talk.send("import time; time.sleep(1)")
    os.write(talk.wake, b"x")
    began = time.monotonic()
    while not (heard := talk.kernel.wait(60)).woken:
        assert time.monotonic() - began < 60, heard
    talk.until_idle(request)


def test_waiting_takes_no_processor_time(talk: Talk) -> None:
    talk.until_idle(talk.send("1"))
    before = time.process_time()
    talk.kernel.wait(0.5)
    assert time.process_time() - before < 0.05


def test_an_interrupt_ends_the_cell_and_not_the_kernel(talk: Talk) -> None:
    request = talk.send("import time\nprint('begun', flush=True)\ntime.sleep(60)")
    while "begun" not in text_of(list(talk.kernel.wait(20).iopub)):
        pass
    talk.kernel.interrupt()
    _, reply = talk.until_idle(request)
    assert reply is not None
    assert reply.content["ename"] == "KeyboardInterrupt"
    _, reply = talk.until_idle(talk.send("2"))
    assert reply is not None
    assert reply.content["status"] == "ok"


@pytest.mark.fault(1)
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "was ended by SIGSEGV"),
        ("import os; os._exit(3)", "ended by itself with exit code 3"),
    ],
)
def test_its_death_comes_after_its_last_words_and_is_explained(talk: Talk, code: str, reason: str) -> None:
    request = talk.send(f"import time\nprint('last words')\ntime.sleep(0.3)\n{code}")
    heard, reply = talk.until_idle(request)
    assert reply is None
    assert text_of(heard) == "last words\n"
    error = explain(talk.kernel.process, MemoryWatch.start())
    assert isinstance(error, KernelDiedError)
    assert reason in error.message


def test_a_crash_leaves_its_python_traceback_on_the_kernels_own_stderr() -> None:
    with talking(specs.find("python3")) as talk:
        talk.until_idle(talk.send("import ctypes\ndef crash(): ctypes.string_at(0)\ncrash()"))
        talk.kernel.process.drain_stderr()
        assert "Segmentation fault" in talk.kernel.process.stderr_tail
        assert "in crash" in talk.kernel.process.stderr_tail


@pytest.mark.fault(31)
def test_a_slow_reader_makes_the_kernel_wait_and_loses_nothing() -> None:
    with talking(specs.find("python3")) as talk:
        request = talk.send("for i in range(2000): print('x' * 10_000)")
        time.sleep(1)
        heard, reply = talk.until_idle(request, 60)
    assert reply is not None
    assert len(text_of(heard)) == 2000 * 10_001


@pytest.mark.fault(33)
def test_what_native_code_and_children_print_belongs_to_their_cell() -> None:
    with talking(specs.find("python3")) as talk:
        for number in range(20):
            heard, _ = talk.until_idle(talk.send(f"import os\nprint('py')\nos.system('echo sh {number}')"))
            assert sorted(text_of(heard).splitlines()) == ["py", f"sh {number}"]


@pytest.mark.fault(5)
def test_a_kernel_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    argv = [sys.executable, "-c", "import sys; sys.exit('no licence')", "{connection_file}"]
    environment = installed(tmp_path, "broken", {"argv": argv, "language": "x"})
    monkeypatch.setenv("JUPYTER_PATH", environment["JUPYTER_PATH"])
    with (
        pytest.raises(KernelUnavailableError, match="died while it was starting: no licence"),
        talking(specs.find("broken")),
    ):
        pass
    with pytest.raises(KernelUnavailableError) as caught:
        specs.find("brokn")
    assert "Did you mean 'broken'?" in caught.value.hint


def test_ending_it_ends_its_group(tmp_path: Path) -> None:
    with talking(specs.find("python3")) as talk:
        code = f"""
import pathlib, subprocess
child = subprocess.Popen(['sleep', '600'])
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
"""
        talk.until_idle(talk.send(code))
        child = int((tmp_path / "pid").read_text())
        talk.kernel.process.signal(signal.SIGKILL)
    assert processes.until(lambda: not processes.command_of(child), 60)
