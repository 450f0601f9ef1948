"""A run is found by its string, its id, the beginning of an id, ``latest``, and by its executed notebook."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import nbstep
import nbstep.errors
from nbstep.backends.memory import MemoryBackend
from nbstep.submission.find import find_run
from nbstep_runner.contract import Claim, RunState, encode
from nbstep_runner.errors import UsageError
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from support import notebooks
from support.records import run_record


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBSTEP_PROFILES", str(tmp_path / "profiles.yaml"))
    (tmp_path / "profiles.yaml").write_text("profiles: {}\n")
    notebooks.write(tmp_path / "train.ipynb", ["1"])
    return tmp_path


def submitted(run_id: str) -> nbstep.Run:
    return nbstep.submit("train.ipynb", on="memory", runs="runs", run_id=run_id)


def end(run: nbstep.Run) -> None:
    assert isinstance(run.backend, MemoryBackend)
    run.backend.end(run.handle)


RECORD = run_record(run_id="alone", exit_code=0, results={"n": 1})


def test_the_beginning_of_an_id_is_enough_where_no_other_has_it() -> None:
    run = submitted("train-alpha")
    submitted("train-beta")
    assert str(nbstep.find("train-a", runs="runs")) == str(run)
    assert str(nbstep.find("train-alpha", runs="runs")) == str(run)
    with pytest.raises(nbstep.errors.RunNotFoundError, match=r"2 runs below .* begin with train: train-alpha, train-b"):
        nbstep.find("train", runs="runs")
    with pytest.raises(nbstep.errors.RunNotFoundError, match="there is no run other"):
        nbstep.find("other", runs="runs")


def test_the_name_of_a_folder_is_told_what_to_name_instead(folder: Path) -> None:
    (folder / "sweep/a=1").mkdir(parents=True)
    (folder / "sweep/a=1/output.ipynb").touch()
    for name, hint in (("sweep", "--runs sweep"), ("sweep/a=1", "sweep/a=1/output.ipynb"), ("other", "--runs URI.")):
        with pytest.raises(nbstep.errors.RunNotFoundError) as caught:
            nbstep.find(name, runs="runs")
        assert caught.value.hint.endswith(hint)


@pytest.mark.parametrize("name", ["", " "])
def test_no_name_is_no_beginning_of_all_ids(name: str) -> None:
    submitted("train-alpha")
    with pytest.raises(UsageError, match="the name of the run is empty"):
        nbstep.find(name, runs="runs")


def test_the_latest_run_is_the_one_that_was_last_heard_of() -> None:
    with pytest.raises(nbstep.errors.RunNotFoundError, match="there is no run below"):
        nbstep.find("latest", runs="runs")
    first, second = submitted("b"), submitted("a")
    end(first)
    assert nbstep.find("latest", runs="runs").id == "b"
    end(second)
    assert nbstep.find("latest", runs="runs").id == "a"
    outside = replace(RECORD, run_id="../project/runs/b")  # as a notebook may leave one: it names no folder of a run
    Path("runs/a/kept.result.json").write_bytes(encode(outside))
    assert nbstep.find("latest", runs="runs").id == "a"


@pytest.mark.parametrize("name", ["out.ipynb", Path("out.ipynb")])
def test_a_run_is_found_by_its_executed_notebook(folder: Path, name: str | Path) -> None:
    (folder / "out.result.json").write_bytes(encode(RECORD))
    run = nbstep.find(name)
    assert (run.id, run.state, run.results) == ("alone", RunState.SUCCEEDED, {"n": 1})
    assert run.wait().exit_code == 0
    with pytest.raises(UsageError, match="was not submitted"):
        run.cancel()
    with pytest.raises(nbstep.errors.RunNotFoundError, match="no record of a run beside"):
        nbstep.find("other.ipynb")


def test_a_run_that_something_else_started_is_known_by_its_record(folder: Path) -> None:
    place = folder / "runs" / "step-1"
    place.mkdir(parents=True)
    (place / "output.result.json").write_bytes(encode(replace(RECORD, run_id="step-1")))
    assert nbstep.find("step-1", runs="runs").state is RunState.SUCCEEDED
    assert nbstep.find("step", runs="runs").id == "step-1"


@pytest.mark.parametrize(("age", "state"), [(5, RunState.RUNNING), (600, RunState.LOST)])
def test_its_heartbeat_says_whether_it_still_runs(folder: Path, age: float, state: RunState) -> None:
    then = datetime.now(UTC) - timedelta(seconds=age)
    claim = Claim(
        token=secrets.token_hex(8), host="h", pid=1, pid_started=1, heartbeat_at=then.isoformat(), lease_seconds=60
    )
    (folder / "out.result.json").write_bytes(encode(replace(RECORD, state=RunState.RUNNING, claim=claim)))
    assert nbstep.find("out.ipynb").state is state


def test_one_pattern_of_what_comes_back_need_not_be_a_list() -> None:
    run = nbstep.submit("train.ipynb", on="memory", runs="runs", collect="*.csv")
    assert list(run.spec().collect) == ["*.csv"]


def test_a_folder_in_which_nothing_is_found_shows_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbstep.submission.find.store_of", lambda *_: MemoryStore(MemorySpace()))
    with pytest.raises(nbstep.errors.RunNotFoundError) as caught:
        find_run("r", nbstep.Profile(runs="sftp://me:word@host/runs"))
    assert "sftp://me:***@host/runs" in caught.value.message
    assert "word" not in str(caught.value)
