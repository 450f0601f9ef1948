"""``nbstep sweep`` as people type it: what it shows, what it leaves, what it ends with, and that no process stays."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

import nbstep
from nbstep_runner.errors import BadInputError, CellFailedError
from support import invariants, notebooks, processes
from support.notebooks import Code

pytestmark = pytest.mark.slow

NBSTEP = str(Path(sys.executable).with_name("nbstep"))
PARAMETERS = Code("lr: float = 0.1\nn: int = 1\nname = 'x'", tags=("parameters",))
REPORT = """
import os
from pathlib import Path
from nbstep_runner import result
with open('ran', 'a') as ran:
    ran.write(f'{os.getpid()} {n}\\n')
result('product', lr * n)
print('product', lr * n, name)
"""
WANDERERS = """
import os, subprocess
subprocess.Popen(['sleep', '600'], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import time; time.sleep(600)
    os._exit(0)
"""
HANGS = REPORT + WANDERERS + "import time\nopen(f'begun-{n}', 'w').close()\ntime.sleep(600 if n > 1 else 0)"


@dataclass(frozen=True)
class Swept:
    """A sweep that has ended."""

    code: int
    stdout: str
    stderr: str
    folder: Path

    def record(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "out" / name / "output.result.json").read_bytes())
        return found

    @property
    def ran(self) -> list[str]:
        """The kernels that ran the notebook: pid and n."""
        path = self.folder / "ran"
        return path.read_text().splitlines() if path.exists() else []


class Sweeping:
    """A sweep under way, all of whose processes carry a mark."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.mark = secrets.token_hex(8)
        self._folder = folder
        environment = {name: value for name, value in os.environ.items() if not name.startswith("NBSTEP_")}
        self.process = subprocess.Popen(
            [NBSTEP, "sweep", "in.ipynb", "-o", "out", *options],
            cwd=folder,
            env=environment | {processes.MARK: self.mark} | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, *names: str) -> None:
        there = processes.until(lambda: all((self._folder / name).exists() for name in names), 60)
        assert there, self.process.communicate(timeout=1) if self.process.poll() is not None else names

    def pids(self, part: str) -> list[int]:
        """Its processes whose command line holds a text, the oldest first."""
        return sorted(pid for pid in processes.marked(self.mark) if part in processes.command_of(pid))

    def finish(self, seconds: float = 60) -> Swept:
        """Wait for the end, and see that nothing is left and no promise is broken."""
        stdout, stderr = self.process.communicate(timeout=seconds)
        gone = processes.until(lambda: not processes.marked(self.mark), 60)
        assert gone, [processes.command_of(pid) for pid in processes.marked(self.mark)]
        done = Swept(self.process.returncode, stdout, stderr, self._folder)
        for output in (self._folder / "out").glob("*/output.result.json"):
            record = json.loads(output.read_bytes())
            code = record["exit_code"] if record["state"] in invariants.FINAL else None
            assert invariants.violations(output.with_name("output.ipynb"), code=code) == []
        return done

    def stop(self) -> None:
        for pid in processes.marked(self.mark):
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()


@contextmanager
def sweeping(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Sweeping]:
    running = Sweeping(folder, *options, env=env)
    try:
        yield running
    finally:
        running.stop()


def sweep(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Swept:
    with sweeping(folder, *options, env=env) as running:
        return running.finish()


def write(folder: Path, *sources: notebooks.Cell) -> None:
    notebooks.write(folder / "in.ipynb", [PARAMETERS, *sources])


@pytest.mark.parametrize("how", [(), ("--cold",), ("--no-preload",)])
def test_each_run_is_as_if_it_were_alone(tmp_path: Path, how: tuple[str, ...]) -> None:
    write(tmp_path, "import numpy", REPORT)
    done = sweep(tmp_path, "--grid", "lr=0.5,2", "--grid", "n=1,3", "-j", "2", "-p", "name", "all", *how)
    assert done.code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["lr", "n", "state", "time", "product"]
    assert [[*line[:3], line[-1]] for line in lines[1:]] == [
        ["0.5", "1", "succeeded", "0.5"],
        ["0.5", "3", "succeeded", "1.5"],
        ["2.0", "1", "succeeded", "2.0"],
        ["2.0", "3", "succeeded", "6.0"],
    ]
    assert sorted(line.split(":")[0] for line in done.stderr.splitlines()) == [
        "lr=0.5,n=1", "lr=0.5,n=3", "lr=2.0,n=1", "lr=2.0,n=3",
    ]  # fmt: skip
    assert "\x1b" not in done.stdout + done.stderr
    assert len({line.split()[0] for line in done.ran}) == 4, "a kernel of its own for each"
    folder = tmp_path / "out" / "lr=0.5,n=3"
    assert sorted(path.name for path in folder.iterdir()) == ["output.ipynb", "output.log.jsonl", "output.result.json"]
    executed = nbformat.read(folder / "output.ipynb", as_version=4)
    assert executed.metadata.papermill.parameters == {"lr": 0.5, "n": 3, "name": "all"}
    assert "product 1.5 all" in (folder / "output.log.jsonl").read_text()
    assert done.record("lr=0.5,n=3")["results"] == {"product": 1.5}


def test_a_warm_run_leaves_what_a_run_alone_leaves(tmp_path: Path) -> None:
    write(tmp_path, "import numpy", REPORT)
    sweep(tmp_path, "--grid", "n=3")
    subprocess.run(
        [NBSTEP, "run", "in.ipynb", "alone.ipynb", "-p", "n", "3"], cwd=tmp_path, check=True, capture_output=True
    )
    swept, alone = (
        json.loads((tmp_path / name).read_bytes()) for name in ("out/n=3/output.result.json", "alone.result.json")
    )
    for record in (swept, alone):
        for key in ("run_id", "spec_digest", "started_at", "ended_at", "seconds", "output_version", "output_checksum"):
            del record[key]
        for key in ("input_uri", "output_uri", "log_uri"):
            del record[key]
        for cell in record["cells"]:
            cell["id"] = cell["id"] if cell["index"] != 1 else "injected, named anew each time"
            cell |= {"seconds": None, "cpu_seconds": None, "peak_memory_bytes": None}
    assert swept == alone


def test_what_counts_as_a_failure_is_said_as_for_a_run_alone(tmp_path: Path) -> None:
    write(tmp_path, "!false", Code("1/0", tags=("skipped",)))
    done = sweep(tmp_path, "--grid", "n=1,2", "--strict-shell", "--no-error-cells", "--skip-tag", "skipped")
    assert done.code == 10
    for number in (1, 2):
        record = json.loads((tmp_path / f"out/n={number}/output.result.json").read_bytes())
        assert record["error"]["exception_name"] == "CommandFailed"
        executed = nbformat.read(tmp_path / f"out/n={number}/output.ipynb", as_version=4)
        assert len(executed.cells) == 4, "parameters, the injected ones, and the two: none that marks the error"


def test_json_and_csv_are_on_stdout_alone(tmp_path: Path) -> None:
    write(tmp_path, REPORT)
    (tmp_path / "sets.csv").write_text("lr,name\n0.5,a\n2,\n")
    done = sweep(tmp_path, "--matrix", "sets.csv", "--json")
    rows = json.loads(done.stdout)
    assert done.code == 0
    assert [(row["name"], row["parameters"], row["state"], row["exit_code"], row["results"]) for row in rows] == [
        ("lr=0.5,name=a", {"lr": 0.5, "name": "a"}, "succeeded", 0, {"product": 0.5}),
        ("lr=2.0", {"lr": 2.0}, "succeeded", 0, {"product": 2.0}),
    ]
    assert all(row["seconds"] > 0 for row in rows)
    again = sweep(tmp_path, "--matrix", "sets.csv", "--csv")
    table = list(csv.DictReader(io.StringIO(again.stdout)))
    assert [(row["parameters.lr"], row["parameters.name"], row["results.product"]) for row in table] == [
        ("0.5", "a", "0.5"), ("2.0", "", "2.0"),
    ]  # fmt: skip
    assert len(again.ran) == 2, "the second call made no run"


def test_all_sets_are_checked_before_anything_runs(tmp_path: Path) -> None:
    write(tmp_path, REPORT)
    done = sweep(tmp_path, "--grid", "n=1,many", "--grid", "lr=1,2")
    assert (done.code, done.stdout, done.ran) == (65, "", [])
    assert done.stderr.startswith("nbstep: 2 of 4 parameter sets are refused, and nothing was run:")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ((), 2, "needs parameter sets"),
        (("--grid", "n"), 2, "NAME=VALUE"),
        (("--grid", "n=1", "-j", "0"), 2, "-j"),
        (("--matrix", "missing.csv"), 66, "missing.csv"),
        (("--grid", "n=1", "missing.yaml"), 66, "missing.yaml"),
    ],
)
def test_mistakes_are_told_in_a_line_or_two(tmp_path: Path, options: tuple[str, ...], code: int, words: str) -> None:
    write(tmp_path, REPORT)
    done = sweep(tmp_path, *options)
    assert (done.code, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failing_set_stops_no_other_and_gives_the_exit_code(tmp_path: Path) -> None:
    write(tmp_path, REPORT, "import os\nif n == 3: os._exit(1)\nif n == 2: raise ValueError('two')")
    done = sweep(tmp_path, "--grid", "n=1,2,3,4", "-j", "2", "--json")
    rows = json.loads(done.stdout)
    assert done.code == 10
    assert [(row["state"], row["exit_code"]) for row in rows] == [
        ("succeeded", 0), ("failed", 10), ("failed", 12), ("succeeded", 0),
    ]  # fmt: skip
    assert "ValueError: two" in rows[1]["error"]
    assert "n=2: failed" in done.stderr
    assert "n=2/output.ipynb)" in done.stderr
    again = sweep(tmp_path, "--grid", "n=1,2,3,4", "--json")
    assert again.code == 10
    assert len(again.ran) == 5, "only the one that may end differently was run again"
    assert again.record("n=3")["attempt"] == 2


@pytest.mark.fault(10)
@pytest.mark.parametrize("how", [(), ("--cold",)])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_saves_the_running_ones_and_a_second_call_does_the_rest(
    tmp_path: Path, number: signal.Signals, code: int, how: tuple[str, ...]
) -> None:
    write(tmp_path, HANGS)
    with sweeping(tmp_path, "--grid", "n=1,2,3,4", "-j", "2", "--json", *how) as running:
        running.wait_for("begun-1", "begun-2", "begun-3")
        time.sleep(0.3)
        running.process.send_signal(number)
        done = running.finish(30)
    rows = json.loads(done.stdout)
    assert done.code == code
    assert [(row["state"], row["exit_code"]) for row in rows] == [
        ("succeeded", 0), ("cancelled", code), ("cancelled", code), ("pending", None),
    ]  # fmt: skip
    assert "product 0.2 x" in (tmp_path / "out/n=2/output.ipynb").read_text()
    write(tmp_path, HANGS.replace("600 if n > 1 else 0", "0"))  # another notebook: all is to be done
    again = sweep(tmp_path, "--grid", "n=1,2,3,4", "-j", "2", *how)
    assert again.code == 0
    assert again.record("n=2")["attempt"] == 2


@pytest.mark.fault(12)
@pytest.mark.parametrize("how", [(), ("--cold",)])
@pytest.mark.parametrize("victim", ["run", "worker", "launcher", "server"])
def test_nothing_stays_whoever_is_killed_and_the_next_call_succeeds(
    tmp_path: Path, victim: str, how: tuple[str, ...]
) -> None:
    if victim == "server" and how:
        pytest.skip("without a fork server there is none to kill")
    write(tmp_path, HANGS.replace("600", "3" if victim == "server" else "600"))
    with sweeping(tmp_path, "--grid", "n=1,2,3", "-j", "2", "--json", *how) as running:
        running.wait_for("begun-1", "begun-2", "begun-3")
        os.kill(_victim(running, victim), signal.SIGKILL)
        if victim == "run":  # the other one goes on, until it is stopped
            assert processes.until(lambda: len(_runs(running)) == 1, 60)
            running.process.send_signal(signal.SIGTERM)
        done = running.finish(40)
    states = {name: done.record(f"n={name}")["state"] for name in "123"}
    assert states["1"] == "succeeded"
    if victim == "run":
        assert sorted(states[name] for name in "23") == ["cancelled", "running"]
        assert "killed by SIGKILL" in done.stderr
        assert done.code == 143
    elif victim == "server":
        assert (set(states.values()), done.code) == ({"succeeded"}, 0)
    else:
        assert {states["2"], states["3"]} == {"cancelled"}, "the worker's end is a SIGTERM to its runs"
    write(tmp_path, REPORT)
    assert sweep(tmp_path, "--grid", "n=1,2,3", *how).code == 0


def _victim(running: Sweeping, name: str) -> int:
    if name == "launcher":
        return running.process.pid
    if name == "server":
        return running.pids("fork_server.py")[0]
    if name == "worker":
        return _worker(running)
    return _runs(running)[0]


def _worker(running: Sweeping) -> int:
    return next(pid for pid in running.pids("nbstep_runner.sweep") if _parent(pid) == running.process.pid)


def _runs(running: Sweeping) -> list[int]:
    """The forked runs: they have the worker's command line, and it for a parent."""
    worker = _worker(running)
    return [pid for pid in running.pids("nbstep_runner.sweep") if _parent(pid) == worker]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_terminal_gets_a_view_and_a_table(tmp_path: Path) -> None:
    write(tmp_path, REPORT)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [NBSTEP, "sweep", "in.ipynb", "--grid", "n=1,2", "-o", "out"],
        cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 65536):
            shown += data
    except OSError:  # how a terminal's end is told (EIO)
        pass
    os.close(ours)
    assert process.wait() == 0
    assert b"of 2 runs" in shown
    assert b"product" in shown
    assert shown.count(b"succeeded") == 2


def test_what_a_notebook_reports_cannot_drive_the_terminal(tmp_path: Path) -> None:
    write(tmp_path, "from nbstep_runner import result\nresult('title', '\\x1b]0;owned\\x07' + chr(0x202e))")
    done = sweep(tmp_path, "--grid", "n=1")
    assert done.code == 0
    assert "owned" in done.stdout
    assert not set("\x1b\x07\u202e") & set(done.stdout + done.stderr)


def test_the_function_returns_all_runs_and_raises_the_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, REPORT, "if n == 2: raise ValueError('two')")
    done = nbstep.sweep(
        "in.ipynb", {"name": "api"}, grid={"n": [1, 3]}, matrix=[{"lr": 1.0}, {"lr": 2.0}], output="out"
    )
    assert [run.result.results["product"] for run in done if run.result] == [1.0, 3.0, 2.0, 6.0]
    assert (len(done), done.exit_code) == (4, 0)
    with pytest.raises(CellFailedError, match="two") as caught:
        nbstep.sweep("in.ipynb", grid={"n": [1, 2]}, output="out")
    assert "n=2" in caught.value.__notes__[-1]
    failed = nbstep.sweep("in.ipynb", grid={"n": [1, 2]}, output="out", check=False)
    assert [run.name for run in failed.failed] == ["n=2"]
    with pytest.raises(BadInputError):
        nbstep.sweep("in.ipynb", grid={"m": [1]}, output="out")


def test_what_a_warm_kernel_shows_is_what_a_launched_one_shows(tmp_path: Path) -> None:
    write(
        tmp_path,
        "import matplotlib.pyplot as plt\nimport pandas as pd\nfrom tqdm.auto import tqdm",
        "plt.plot([1, 2]);",
        "pd.DataFrame({f'c{i}': [i] for i in range(30)})",
        "print(type(tqdm([])).__module__)",
    )
    shown = []
    for how in ((), ("--cold",)):
        assert sweep(tmp_path, "--grid", "n=1", "--force", *how).code == 0
        executed = nbformat.read(tmp_path / "out/n=1/output.ipynb", as_version=4)
        picture, table, text = (cell.outputs[-1] for cell in executed.cells[3:])
        shown.append((sorted(picture.data), table.data["text/html"], text.text))
    assert shown[0] == shown[1]
    assert "image/png" in shown[0][0]
