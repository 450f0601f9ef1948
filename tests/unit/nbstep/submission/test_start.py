"""What a run leaves in storage whose place did not take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nbstep
from nbstep.backends.memory import MemoryBackend
from nbstep.errors import ClusterDeniedError, NotStartedError
from nbstep_runner.errors import OutputConflictError, UsageError
from nbstep_runner.processes import TOKEN_VARIABLE
from support import notebooks


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One in which no local run can be started: what is kept of them cannot be written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NBSTEP_PROFILES", str(tmp_path / "profiles.yaml"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "train.ipynb"))
    (tmp_path / "profiles.yaml").write_text("profiles: {}\n")
    notebooks.write(tmp_path / "train.ipynb", ["1"])
    return tmp_path


def test_a_run_that_was_never_started_is_not_listed_as_waiting(folder: Path) -> None:
    with pytest.raises(NotStartedError):
        nbstep.submit("train.ipynb", runs="runs", run_id="r")
    assert nbstep.history("runs") == []
    assert [path for path in (folder / "runs").rglob("*") if path.is_file()] == []


def test_one_that_a_run_may_not_submit_is_not_listed_either(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "of the run")
    with pytest.raises(UsageError, match="cannot be submitted from a notebook"):
        nbstep.submit("train.ipynb", runs="runs", run_id="r")
    assert [path for path in (folder / "runs").rglob("*") if path.is_file()] == []


def test_one_that_was_started_before_it_was_refused_keeps_what_it_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = MemoryBackend.submit

    def start_and_refuse(self: MemoryBackend, plan: Any) -> None:
        submit(self, plan)
        raise ClusterDeniedError("the quota is used up: by this very run")

    monkeypatch.setattr(MemoryBackend, "submit", start_and_refuse)
    with pytest.raises(ClusterDeniedError):
        nbstep.submit("train.ipynb", on="memory", runs="runs", run_id="begun-and-refused")
    assert [path for path in (folder / "runs").rglob("*") if path.is_file()] != []


def test_one_whose_name_another_has_there_is_not_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: MemoryBackend, __: Any) -> None:
        raise OutputConflictError("another Job of this name is there")

    monkeypatch.setattr(MemoryBackend, "submit", refuse)
    with pytest.raises(OutputConflictError):
        nbstep.submit("train.ipynb", on="memory", runs="runs", run_id="taken")
    assert [path for path in (folder / "runs").rglob("*") if path.is_file()] == []


def test_what_another_submission_has_put_there_stays() -> None:
    waiting = nbstep.submit("train.ipynb", on="memory", runs="runs")
    with pytest.raises(NotStartedError):
        nbstep.submit("train.ipynb", runs="runs", run_id=waiting.id)
    assert str(nbstep.find(waiting.id, runs="runs")) == str(waiting)
    assert [record.run_id for record in nbstep.history("runs")] == [waiting.id]
