"""A run that goes wrong in its kernel says so: exit code, record, cell states and log agree, within a bounded time."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from support.notebooks import Code
from support.runs import run, start

AFTER = "print('after')"
SLEEP = "import time\nprint('begun', flush=True)\ntime.sleep(60)"
DEAF = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('begun', flush=True)
time.sleep(600)
"""
MISSES_THE_FIRST_QUESTION = """
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

class Distracted(IPythonKernel):
    asked = 0

    async def kernel_info_request(self, *arguments):
        self.asked += 1
        if self.asked > 1:
            await super().kernel_info_request(*arguments)

IPKernelApp.launch_instance(kernel_class=Distracted)
"""


def test_a_cell_that_raises(tmp_path: Path) -> None:
    done = run(tmp_path, ["print('before')", "int('many')", AFTER])
    assert (done.code, done.stderr) == (10, "")
    assert done.states == ["succeeded", "failed", "not_run"]
    assert done.error["reference"] == "cell-failed"
    assert (done.error["cell_index"], done.error["cell_id"]) == (1, "cell-1")
    assert done.error["exception_name"] == "ValueError"
    assert done.error["exception_value"] == "invalid literal for int() with base 10: 'many'"
    assert any("int('many')" in line for line in done.error["traceback"])
    assert not any("\x1b" in line for line in done.error["traceback"])
    assert done.cells[1].outputs[0].ename == "ValueError"
    assert done.text(0) == "before\n"
    assert done.cells[2].outputs == []


@pytest.mark.fault(1)
@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("death", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import os; os._exit(3)", "exit code 3"),
        pytest.param("import ctypes; ctypes.string_at(0)", "SIGSEGV", marks=pytest.mark.slow),
    ],
)
def test_a_kernel_that_dies_in_a_cell(tmp_path: Path, death: str, reason: str) -> None:
    done = run(
        tmp_path, ["print('before')", f"import time\nprint('last words')\ntime.sleep(0.2)\n{death}", AFTER], seconds=15
    )
    assert (done.code, done.states) == (12, ["succeeded", "failed", "not_run"])
    assert done.error["reference"] == "kernel-died"
    assert reason in done.error["message"]
    assert done.error["cell_index"] == 1
    assert done.text(1) == "last words\n"
    assert done.cells[1].metadata.papermill.status == "failed"
    assert done.cells[2].metadata.papermill.status == "pending"


@pytest.mark.fault(1)
def test_a_kernel_that_is_killed_from_outside_is_noticed_at_once(tmp_path: Path) -> None:
    with start(tmp_path, [SLEEP, AFTER]) as running:
        os.kill(running.wait_for("begun").kernel, signal.SIGKILL)
        done = running.finish(30)
    assert (done.code, done.states) == (12, ["failed", "not_run"])
    assert "SIGKILL" in done.error["message"]


@pytest.mark.slow
@pytest.mark.fault(4)
def test_a_stopped_kernel_meets_the_stall_deadline(tmp_path: Path) -> None:
    with start(tmp_path, [SLEEP, AFTER], "--stall-timeout", "1") as running:
        os.kill(running.wait_for("begun").kernel, signal.SIGSTOP)
        done = running.finish(30)
    assert (done.code, done.states) == (11, ["timed_out", "not_run"])
    assert done.error["reference"] == "timed-out"
    assert "no sign of life" in done.error["message"]
    assert done.text(0) == "begun\n"


@pytest.mark.slow
@pytest.mark.fault(4)
def test_native_code_that_holds_the_interpreter_lock_is_not_taken_for_a_stall(tmp_path: Path) -> None:
    computing = "import re\nre.match('(a+)+$', 'a' * 25 + 'b')"
    asleep = "import ctypes\nctypes.PyDLL(None).usleep(1_500_000)"
    done = run(tmp_path, [computing, asleep], "--stall-timeout", "0.5")
    assert (done.code, done.states) == (0, ["succeeded", "succeeded"])
    assert min(cell["seconds"] for cell in done.record["cells"]) > 0.6


@pytest.mark.fault(5)
def test_no_such_kernel(tmp_path: Path) -> None:
    done = run(tmp_path, ["print(1)"], "-k", "pyhton3")
    assert (done.code, done.states) == (78, [])
    assert done.error["reference"] == "kernel-unavailable"
    assert "pyhton3" in done.error["message"]
    assert "Did you mean 'python3'?" in done.error["hint"]
    assert not done.output.exists()


def fake_kernel(folder: Path, name: str, *argv: str, language: str = "none") -> dict[str, str]:
    """The environment in which a kernel of that name is installed."""
    spec = folder / "jupyter/kernels" / name
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": language}))
    return {"JUPYTER_PATH": str(folder / "jupyter")}


@pytest.mark.fault(5)
def test_a_kernel_that_dies_at_its_start_is_quoted(tmp_path: Path) -> None:
    dies = "import os\nraise SystemExit('libcuda.so.1: no such file; ' + os.environ['TOKEN'])"
    env = fake_kernel(tmp_path, "broken", sys.executable, "-c", dies, language="python") | {"TOKEN": "s3cr3t-t0k3n"}
    tmp_path.joinpath("p.yaml").write_text("token: {secret: 'env:TOKEN'}")
    cells = [Code("token = ''", tags=("parameters",))]
    done = run(tmp_path, cells, "-k", "broken", "-f", str(tmp_path / "p.yaml"), env=env)
    assert (done.code, done.error["reference"]) == (78, "kernel-unavailable")
    assert "died while it was starting: libcuda.so.1: no such file; ***" in done.error["message"]
    assert "s3cr3t" not in done.place.with_suffix(".log.jsonl").read_text() + done.stdout + done.stderr


@pytest.mark.fault(5)
def test_a_kernel_that_misses_the_first_question_is_asked_again(tmp_path: Path) -> None:
    script = tmp_path / "kernel.py"
    script.write_text(MISSES_THE_FIRST_QUESTION)
    env = fake_kernel(tmp_path, "distracted", sys.executable, str(script), "-f", "{connection_file}")
    done = run(tmp_path, ["print(6 * 7)"], "-k", "distracted", env=env)
    assert (done.code, done.text(0)) == (0, "42\n")


@pytest.mark.slow
@pytest.mark.fault(5)
def test_a_kernel_that_never_answers_is_given_up(tmp_path: Path) -> None:
    env = fake_kernel(
        tmp_path,
        "mute",
        sys.executable,
        "-c",
        "import sys, time; print('waiting for a licence', file=sys.stderr, flush=True); time.sleep(99)",
        "{connection_file}",
    )
    done = run(tmp_path, ["1"], "-k", "mute", "--start-timeout", "1", env=env, seconds=30)
    assert (done.code, done.error["reference"]) == (78, "kernel-unavailable")
    assert "was not ready within 1 s: waiting for a licence" in done.error["message"]


@pytest.mark.fault(5)
def test_a_kernel_whose_program_is_missing(tmp_path: Path) -> None:
    env = fake_kernel(tmp_path, "gone", "/nowhere/julia", "{connection_file}")
    done = run(tmp_path, ["1"], "-k", "gone", env=env)
    assert (done.code, done.error["reference"]) == (78, "kernel-unavailable")
    assert "/nowhere/julia" in done.error["message"]


@pytest.mark.fault(6)
def test_a_cell_past_its_deadline_is_interrupted_and_may_clean_up(tmp_path: Path) -> None:
    cell = "try:\n    import time; time.sleep(60)\nfinally:\n    print('cleaned up')"
    done = run(tmp_path, [cell, AFTER], "--execution-timeout", "0.5", seconds=30)
    assert (done.code, done.states) == (11, ["timed_out", "not_run"])
    assert "the cell's deadline of 0.5 s passed" in done.error["message"]
    assert done.text(0) == "cleaned up\n"
    assert done.cells[0].outputs[-1].ename == "KeyboardInterrupt"
    assert done.cells[0].metadata.papermill.status == "failed"


@pytest.mark.slow
@pytest.mark.fault(6)
def test_a_cell_that_ignores_every_polite_signal_is_killed(tmp_path: Path) -> None:
    done = run(tmp_path, [DEAF, AFTER], "--execution-timeout", "0.5", seconds=20)
    assert (done.code, done.states) == (11, ["timed_out", "not_run"])
    assert done.text(0) == "begun\n"


@pytest.mark.slow
@pytest.mark.fault(6)
def test_a_cells_own_deadline_goes_before_the_general_one(tmp_path: Path) -> None:
    own = Code("import time\ntime.sleep(60)", metadata={"execution": {"timeout": 0.5}})
    longer = Code("import time\ntime.sleep(0.6)", metadata={"execution": {"timeout": 30}})
    done = run(tmp_path, [longer, own], "--execution-timeout", "0.3", seconds=30)
    assert (done.code, done.states) == (11, ["succeeded", "timed_out"])
    assert "deadline of 0.5 s" in done.error["message"]
    assert done.cells[1].metadata.execution["timeout"] == "0.5"


@pytest.mark.fault(6)
def test_the_deadline_of_the_run_spans_its_cells(tmp_path: Path) -> None:
    nap = "import time\ntime.sleep(0.4)"
    done = run(tmp_path, [nap] * 20, "--run-timeout", "1", seconds=30)
    assert done.code == 11
    assert done.states[0] == "succeeded"
    assert done.states[-1] == "not_run"
    assert "the run's deadline passed" in done.error["message"]


@pytest.mark.slow
@pytest.mark.fault(7)
@pytest.mark.parametrize(
    "leave",
    [
        "exit()",
        *(
            pytest.param(leave, marks=pytest.mark.slow)
            for leave in ("quit()", "import sys\nsys.exit()", "import sys\nsys.exit(0)")
        ),
    ],
)
def test_a_clean_exit_ends_the_notebook_there(tmp_path: Path, leave: str) -> None:
    done = run(tmp_path, ["print('before')", leave, AFTER])
    assert (done.code, done.record["state"]) == (0, "succeeded")
    assert done.states == ["succeeded", "succeeded", "not_run"]


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    "leave", ["import sys\nsys.exit(3)", pytest.param("exit('no data for today')", marks=pytest.mark.slow)]
)
def test_an_exit_with_a_status_is_a_failure(tmp_path: Path, leave: str) -> None:
    done = run(tmp_path, [leave, AFTER], "--allow-errors")
    assert (done.code, done.states) == (10, ["failed", "not_run"])
    assert done.error["exception_name"] == "SystemExit"


@pytest.mark.fault(8)
def test_input_fails_at_once(tmp_path: Path) -> None:
    done = run(tmp_path, ["name = input('Your name? ')", AFTER], seconds=30)
    assert (done.code, done.states) == (10, ["failed", "not_run"])
    assert done.error["exception_name"] == "StdinNotImplementedError"


@pytest.mark.fault(9)
def test_tags_and_flags_that_let_a_run_go_on(tmp_path: Path) -> None:
    cells = [Code("1/0", tags=("raises-exception",)), Code("1/0", tags=("skip-execution",)), AFTER]
    done = run(tmp_path, cells)
    assert (done.code, done.states) == (0, ["succeeded", "skipped", "succeeded"])
    assert done.cells[0].outputs[0].ename == "ZeroDivisionError"
    assert done.cells[0].metadata.papermill.status == "completed"
    assert done.cells[1].outputs == []
    assert done.cells[1].execution_count is None


@pytest.mark.fault(9)
def test_allowed_errors_are_passed_by_and_told(tmp_path: Path) -> None:
    done = run(tmp_path, ["1/0", AFTER], "--allow-errors")
    assert (done.code, done.states) == (0, ["failed", "succeeded"])
    assert done.record["warnings"] == ["1 cells raised, which was allowed: their states are 'failed'"]
    assert done.text(1) == "after\n"


@pytest.mark.fault(42)
def test_the_kernel_listens_in_a_private_folder_and_on_no_port(tmp_path: Path) -> None:
    look = f"""
import psutil
ports = {{each.laddr.port for each in psutil.Process().net_connections() if each.status == 'LISTEN'}}
print(ports - {{get_ipython().kernel.iopub_thread._pipe_port}})  # where forked children hand in their prints
{SLEEP}
"""
    with start(tmp_path, [look]) as running:
        command = Path(f"/proc/{running.wait_for('begun').kernel}/cmdline").read_text().split("\0")
        (connection,) = [Path(part) for part in command if part.endswith("connection.json")]
        settings = json.loads(connection.read_text())
        assert settings["transport"] == "ipc"
        assert len(settings["key"]) == 64
        assert stat.S_IMODE(connection.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(connection.stat().st_mode) == 0o600
        assert Path(settings["ip"]).parent == connection.parent
        done = running.signal(signal.SIGTERM).finish(30)
    assert done.text(0).startswith("set()\n")
    assert not connection.parent.exists()
