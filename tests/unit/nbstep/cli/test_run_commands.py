"""The commands about submitted runs, on runs of the memory backend: exit code, standard output and standard error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

import nbstep
from nbstep import Run
from nbstep.cli.main import run as run_command
from nbstep_runner.errors import CellFailedError
from support import notebooks
from support.memory_runs import backend_of, submit


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Typed:
    """Commands as they are typed, in this process."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: str) -> Done:
        self._captured.readouterr()
        code = run_command(list(arguments))
        return Done(code, *self._captured.readouterr())


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(capsys)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBSTEP_PROFILES", str(tmp_path / "profiles.yaml"))
    (tmp_path / "profiles.yaml").write_text("profiles: {}\n")


@pytest.fixture
def run() -> Run:
    return submit()


def failed(run: Run) -> Run:
    backend_of(run).end(run.handle, error=CellFailedError("no such column", hint="Name another."))
    return run


def test_submit_prints_the_handle_by_which_the_run_is_found(typed: Typed) -> None:
    notebooks.write(Path("train.ipynb"), [notebooks.Code("n: int = 1", tags=("parameters",))])
    done = typed("submit", "train.ipynb", "-p", "n", "7", "--on", "memory", "--runs", "memory://cli", "--label", "a=b")
    assert (done.code, done.err) == (0, "")
    run = nbstep.find(done.out.strip())
    assert (run.spec().labels, run.backend.scheme) == ({"a": "b"}, "memory")
    mistaken = typed("submit", "train.ipynb", "-p", "m", "7", "--on", "memory", "--runs", "memory://cli")
    assert (mistaken.code, mistaken.out) == (65, "")
    assert "m" in mistaken.err


def test_a_dry_run_prints_what_would_be_sent_and_sends_nothing(typed: Typed) -> None:
    notebooks.write(Path("train.ipynb"), ["1"])
    done = typed("submit", "train.ipynb", "--on", "memory", "--runs", "memory://dry", "--run-id", "r", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["output_uri"] == "memory://dry/r/output.ipynb"
    assert nbstep.history("memory://dry") == []


def test_status_says_how_a_run_stands(typed: Typed, run: Run) -> None:
    backend_of(run).begin(run.handle)
    assert typed("status", run.handle) == (0, f"{run.id}: running (running in this process)\n", "")
    failed(run)
    done = typed("status", run.handle)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{run.id}: failed")
    assert "Name another." in done.out
    told = json.loads(typed("status", run.handle, "--json").out)
    assert (told["state"], told["record"]["exit_code"]) == ("failed", 10)


def test_wait_ends_as_the_run_did(typed: Typed, run: Run) -> None:
    done = typed("wait", run.handle, "--timeout", "0")
    assert (done.code, done.out) == (11, "")
    assert f"the run {run.id} has not ended after 0 s" in done.err
    failed(run)
    done = typed("wait", run.handle)
    assert (done.code, done.out) == (10, f"{run.id}: failed\n")
    assert "no such column\nName another." in done.err
    assert json.loads(typed("wait", run.handle, "--json").out)["error"]["reference"] == "cell-failed"


def test_logs_show_each_line_once(typed: Typed, run: Run) -> None:
    backend_of(run).log(run.handle, "epoch 1\x1b[31m")
    backend_of(run).log(run.handle, "done", event="run-finished")
    backend_of(run).end(run.handle)
    assert typed("logs", run.handle) == (0, "epoch 1\\x1b[31m\ndone\n", "")
    done = typed("logs", run.handle, "--follow", "--json")
    assert [json.loads(line)["message"] for line in done.out.splitlines()] == ["epoch 1\x1b[31m", "done"]


def test_cancel_asks_and_waits_if_it_is_told_to(typed: Typed, run: Run) -> None:
    assert typed("cancel", run.handle) == (0, f"{run.id}: asked to end\n", "")
    assert typed("cancel", run.handle, "--wait") == (0, f"{run.id}: cancelled\n", "")
    done = typed("cancel", run.handle)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{run.id} has ended already: cancelled")


def test_list_has_a_row_a_run(typed: Typed) -> None:
    runs = [submit(runs="memory://listed") for _ in range(2)]
    failed(runs[0])
    done = typed("list", "--runs", "memory://listed", "--json")
    assert {each["run_id"]: each["state"] for each in json.loads(done.out)} == {
        runs[0].id: "failed",
        runs[1].id: "pending",
    }
    done = typed("list", "--runs", "memory://listed", "--state", "failed")
    assert (done.code, done.err) == (0, "")
    assert runs[0].id in done.out
    assert runs[1].id not in done.out


def test_a_run_that_nobody_knows_is_said_to_be_unknown(typed: Typed) -> None:
    for command in ("status", "wait", "logs", "cancel"):
        done = typed(command, "memory://nobody")
        assert (done.code, done.out) == (66, ""), command
        assert "there is no run memory://nobody" in done.err


def test_a_fault_of_ours_has_the_code_of_one(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbstep.runs.history.history", lambda *_, **__: 1 / 0)
    code, out, err = typed("list")
    assert (code, out) == (70, "")
    assert err.startswith("Traceback")
    assert err.endswith("ZeroDivisionError: division by zero\n")


def test_a_list_of_nothing_says_where_nothing_is(typed: Typed) -> None:
    code, out, err = typed("list", "--runs", "nowhere")
    assert (code, out.split()[0]) == (0, "RUN")
    assert err == f"nbstep: there is no run below {Path.cwd()}/nowhere\n"
    assert typed("list", "--runs", "nowhere", "--state", "failed").err.startswith("nbstep: there is no such run")
    assert typed("list", "--runs", "nowhere", "--json") == (0, "[]\n", "")
