"""Runs of the memory backend are runs like any other: found, followed, judged, cancelled."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import nbstep
from nbstep.errors import LostRunError, RunNotFoundError
from nbstep_runner.contract import RunState
from nbstep_runner.errors import (
    BadInputError,
    CellFailedError,
    InputNotFoundError,
    OutputConflictError,
    TerminatedError,
)
from support.memory_runs import backend_of, submit


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_run_goes_as_it_is_told() -> None:
    run = submit()
    memory = backend_of(run)
    assert run.state is RunState.PENDING
    memory.begin(run.handle)
    assert (run.state, run.results) == (RunState.RUNNING, {})
    memory.end(run.handle, results={"rmse": 0.29})
    assert run.wait().results == run.results == {"rmse": 0.29}
    assert run.wait() == nbstep.find(str(run)).record()


def test_a_failure_is_the_error_that_it_was() -> None:
    run = submit()
    backend_of(run).end(run.handle, error=CellFailedError("no such column"))
    with pytest.raises(CellFailedError, match="no such column"):
        run.wait()
    assert run.wait(check=False).exit_code == 10


def test_the_same_run_twice_is_one() -> None:
    first = submit(run_id="once", runs="memory://twice")
    backend_of(first).begin(first.handle)
    assert submit(run_id="once", runs="memory://twice").state is RunState.RUNNING
    with pytest.raises(OutputConflictError, match="another run of this name"):
        submit(run_id="once", runs="memory://twice", allow_errors=True)


def test_a_run_is_found_by_its_handle_and_by_its_id() -> None:
    run = submit(runs="memory://found")
    assert nbstep.find(run.handle).output_uri == run.output_uri
    assert nbstep.find(run.id, runs="memory://found").handle == run.handle
    backend_of(run).end(run.handle)
    backend_of(run).forget(run.handle)
    assert nbstep.find(run.handle, runs="memory://found").state is RunState.SUCCEEDED
    with pytest.raises(RunNotFoundError):
        nbstep.find(run.handle)


def test_a_run_that_vanishes_is_lost_and_everybody_reads_so() -> None:
    run = submit(labels={"team": "flights"})
    backend_of(run).begin(run.handle)
    backend_of(run).vanish(run.handle, "the machine is gone")
    assert run.state is RunState.LOST
    with pytest.raises(LostRunError, match="the machine is gone"):
        run.wait()
    record = nbstep.find(run.handle).record()
    assert record is not None
    assert (record.state, record.labels) == (RunState.LOST, {"team": "flights"})
    assert "written by the launcher" in record.warnings[0]


def test_a_verdict_that_came_in_the_last_moment_stands() -> None:
    run = submit()
    memory = backend_of(run)
    memory.end(run.handle, results={"n": 1})
    memory.vanish(run.handle)
    assert run.wait().results == {"n": 1}


def test_cancelling_ends_a_run_once() -> None:
    run = submit()
    run.cancel()
    run.cancel()
    with pytest.raises(TerminatedError):
        run.wait()
    assert run.state is RunState.CANCELLED


def test_lines_come_while_they_are_followed_and_each_once() -> None:
    run = submit()
    memory = backend_of(run)
    memory.log(run.handle, "one")
    assert [line.message for line in run.lines()] == ["one"]
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.extend(line.message for line in run.lines(follow=True)))
    reader.start()
    memory.log(run.handle, "two", event="run-finished")
    memory.end(run.handle)
    reader.join(30)
    assert seen == ["one", "two"]


def test_a_run_without_a_notebook_says_so() -> None:
    run = submit()
    with pytest.raises(InputNotFoundError, match="has no notebook yet"):
        run.notebook()
    backend_of(run).end(run.handle, error=BadInputError("rate is no number"))
    with pytest.raises(InputNotFoundError, match="is failed and left no notebook: rate is no number"):
        run.notebook()
    run.store.write(run.output_uri, b'{"cells": []}')
    assert run.notebook() == {"cells": []}


def test_history_lists_what_was_submitted() -> None:
    runs = [submit(runs="memory://history") for _ in range(3)]
    backend_of(runs[1]).end(runs[1].handle)
    assert {record.run_id for record in nbstep.history("memory://history")} == {run.id for run in runs}
    assert [record.run_id for record in nbstep.history("memory://history", state="succeeded")] == [runs[1].id]


def test_requirements_are_checked_here() -> None:
    with pytest.raises(BadInputError, match=r"no-such-package==1 is not installed"):
        submit(requirements=["no-such-package==1"])
