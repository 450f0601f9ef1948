"""What the runner does with input, parameters and output in a store: tests for every scheme to inherit.

A scheme's class gives the fixture ``remote``.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest

from nbstep_runner.stores import Store, below
from servers.faultproxy import Kind, Proxy
from servers.ports import wait_until
from support import notebooks
from support.runs import RUNNER, Done, Running

PARAMETERS = notebooks.Code("rows: int = 1\nname = 'nobody'", ("parameters",))
ODD = "odd 50% #1 ü.csv"
CELLS = (PARAMETERS, "print(f'{name} has {rows + 1} rows')", "import os; print('in', os.getcwd())")


@dataclass
class Remote:
    """A place in a store, as the runner's command and as the test reach it.

    Attributes:
        folder: A URI that ends with ``/``.
        store: Reaches it from the test's own process.
        environment: What the command needs to reach it.
        flags: Options of the command for the same.
        proxy: What stands between the command and the server, if anything does.
        denied: A folder that may not be written.
    """

    folder: str
    store: Store
    environment: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    proxy: Proxy | None = None
    denied: str = ""

    def put(self, cells: tuple[notebooks.Cell, ...], parameters: str = "rows: 41\nname: Ada\n") -> None:
        self.store.write(self.folder + "in.ipynb", json.dumps(notebooks.notebook(cells)).encode())
        self.store.write(self.folder + "params.yaml", parameters.encode())

    def start(self, tmp_path: Path, *flags: str, output: str = "") -> Running:
        names = (self.folder + "in.ipynb", output or self.folder + "runs/out.ipynb", self.folder + "params.yaml")
        command = [*RUNNER, *names, *self.flags, *flags]
        return Running(command, tmp_path / "no-local-output.ipynb", cwd=tmp_path, env=dict(self.environment))

    def run(self, tmp_path: Path, *flags: str, output: str = "") -> Done:
        with self.start(tmp_path, *flags, output=output) as running:
            return running.finish(check=False)

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.store.read(self.folder + "runs/out.result.json").data)
        return record

    def names(self) -> set[str]:
        return {stat.uri.removeprefix(self.folder + "runs/") for stat in self.store.list(self.folder + "runs/")}


class RunnerOnStore:
    """Inherit, and give ``remote``."""

    @pytest.fixture
    def remote(self) -> Remote:
        raise NotImplementedError

    def test_a_run_from_storage_to_storage(self, remote: Remote, tmp_path: Path) -> None:
        """What it writes in its working directory comes back, under an odd name, too."""
        remote.put((*CELLS, f"open({ODD!r}, 'w').write('1')"))
        done = remote.run(tmp_path, "--collect", "*.csv")
        assert (done.code, done.stderr) == (0, "")
        assert "Ada has 42 rows" in done.stdout
        file = below(remote.folder + "runs/out.files", ODD)
        assert remote.names() == {"out.ipynb", "out.result.json", "out.log.jsonl", file.partition("/runs/")[2]}
        assert remote.store.read(file).data == b"1"
        output = remote.store.read(remote.folder + "runs/out.ipynb")
        executed = nbformat.reads(output.data.decode(), as_version=4)
        nbformat.validate(executed)
        assert executed.cells[2].outputs[0]["text"] == "Ada has 42 rows\n"
        record = remote.record()
        assert (record["state"], record["exit_code"]) == ("succeeded", 0)
        assert record["output_version"] == output.version
        assert {cell["state"] for cell in record["cells"]} == {"succeeded"}
        assert [file["path"] for file in record["files"]] == [ODD]
        assert [path.name for path in tmp_path.iterdir()] == [ODD]

    def test_the_same_work_again_is_answered_by_its_record(self, remote: Remote, tmp_path: Path) -> None:
        remote.put(CELLS)
        assert remote.run(tmp_path, "--run-id", "r1").code == 0
        before = remote.store.stat(remote.folder + "runs/out.ipynb")
        again = remote.run(tmp_path, "--run-id", "r1", "--attempt", "2")
        assert again.code == 0
        assert "Ada has" not in again.stdout
        assert remote.store.stat(remote.folder + "runs/out.ipynb") == before

    def test_a_failed_run_delivers_its_notebook(self, remote: Remote, tmp_path: Path) -> None:
        remote.put((PARAMETERS, "print('before')", "int(name)"))
        done = remote.run(tmp_path)
        assert done.code == 10
        record = remote.record()
        assert (record["state"], record["error"]["reference"]) == ("failed", "cell-failed")
        executed = nbformat.reads(remote.store.read(remote.folder + "runs/out.ipynb").data.decode(), as_version=4)
        outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
        assert [output["ename"] for output in outputs if output["output_type"] == "error"] == ["ValueError"]

    @pytest.mark.fault(12)
    def test_the_record_of_a_killed_runner_is_settled(self, remote: Remote, tmp_path: Path) -> None:
        """By its watchdog, where the store decides between two writers."""
        remote.put((PARAMETERS, "import time\nprint('begun', flush=True)\ntime.sleep(60)"))
        with remote.start(tmp_path, "--run-id", "killed") as running:
            running.wait_for("begun")
            claim = remote.record()["claim"]
            running.signal(signal.SIGKILL)
            wait_until(lambda: remote.record()["state"] != "running" or claim["best_effort"])
            running.finish(check=False)
        record = remote.record()
        assert record["state"] == ("running" if claim["best_effort"] else "lost")
        again = remote.start(tmp_path, "--run-id", "killed", "--attempt", "2")
        with again:
            again.wait_for("begun")

    @pytest.mark.fault(19)
    def test_a_missing_input_runs_nothing(self, remote: Remote, tmp_path: Path) -> None:
        remote.store.write(remote.folder + "params.yaml", b"rows: 1")
        done = remote.run(tmp_path)
        assert done.code == 66
        assert remote.folder.rstrip("/").rpartition("/")[2] in done.stdout + done.stderr
        assert "out.ipynb" not in remote.names()
        record = remote.record()
        assert (record["state"], record["exit_code"], record["claim"]) == ("failed", 66, None)

    @pytest.mark.fault(11)
    def test_a_stop_while_the_input_does_not_come_leaves_no_claim(self, remote: Remote, tmp_path: Path) -> None:
        if remote.proxy is None:
            pytest.skip("nothing stands before this server")
        remote.put(CELLS)
        remote.proxy.add(Kind.HANG, "GET", "in.ipynb", times=10)
        with remote.start(tmp_path, "--run-id", "stopped") as running:
            wait_until(lambda: any("out.result.json" in name for name in remote.names()))
            done = running.signal(signal.SIGTERM).finish(check=False)
        remote.proxy.over.set()
        assert done.code == 143
        record = remote.record()
        assert (record["state"], record["exit_code"], record["claim"]) == ("cancelled", 143, None)

    @pytest.mark.fault(19)
    def test_an_output_that_is_denied_is_found_before_the_first_cell(self, remote: Remote, tmp_path: Path) -> None:
        if not remote.denied:
            pytest.skip("this server denies nothing")
        remote.put(CELLS)
        done = remote.run(tmp_path, output=remote.denied + "out.ipynb")
        assert done.code == 77
        assert "Ada has" not in done.stdout

    @pytest.mark.fault(15)
    def test_an_outage_at_the_end_keeps_the_notebook(self, remote: Remote, tmp_path: Path) -> None:
        if remote.proxy is None:
            pytest.skip("nothing stands before this server")
        remote.put((PARAMETERS, "import time\nprint('begun', flush=True)\ntime.sleep(1)\nprint('done')"))
        with remote.start(tmp_path, "--retry-seconds", "2") as running:
            running.wait_for("begun")
            remote.proxy.add(Kind.STATUS, times=10_000, status=503)
            done = running.finish(check=False)
        remote.proxy.faults.clear()
        assert done.code == 75
        kept = next(word.strip("\"',.;") for word in done.stdout.split() if "output.ipynb" in word)
        executed = nbformat.reads(Path(kept.split('"')[0]).read_text(), as_version=4)
        assert "done" in executed.cells[2].outputs[0]["text"]
        assert "out.ipynb" not in remote.names()

    @pytest.mark.fault(15)
    def test_errors_in_passing_change_nothing(self, remote: Remote, tmp_path: Path) -> None:
        if remote.proxy is None:
            pytest.skip("nothing stands before this server")
        remote.put(CELLS)
        for kind in (Kind.STATUS, Kind.DROP_ANSWER, Kind.REFUSE, Kind.STATUS):
            remote.proxy.add(kind, "PUT|POST")
            remote.proxy.add(kind, "GET")
        done = remote.run(tmp_path)
        assert done.code == 0
        assert "trying again in" in done.stdout
        assert remote.record()["state"] == "succeeded"
        assert remote.names() == {"out.ipynb", "out.result.json", "out.log.jsonl"}

    @pytest.mark.fault(24)
    def test_of_two_runs_of_one_output_one_wins(self, remote: Remote, tmp_path: Path) -> None:
        remote.put((PARAMETERS, "import time\ntime.sleep(3)\nprint('over')"))
        folders = [tmp_path / "one", tmp_path / "two"]
        for folder in folders:
            folder.mkdir()
        runs = [remote.start(folder, "--run-id", folder.name) for folder in folders]
        codes = [running.finish(check=False).code for running in runs]
        assert sorted(codes) == [0, 73]
        winner = folders[codes.index(0)].name
        assert (remote.record()["run_id"], remote.record()["state"]) == (winner, "succeeded")
