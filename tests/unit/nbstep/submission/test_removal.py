"""Runs removed: a submitted one with its folder, any other with no more than what is its own."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from click.testing import CliRunner

import nbstep
from nbstep.backends.protocol import Phase
from nbstep.backends.stores import store_of
from nbstep.cli.delete import command as delete
from nbstep.cli.prune import command as prune
from nbstep.errors import ClusterUnavailableError
from nbstep.profiles import Profile
from nbstep.runs.removal import Removed
from nbstep.submission import checkup, removal
from nbstep.submission.removal import remove
from nbstep.submission.request import Prepared
from nbstep_runner.contract import CollectedFile, RunState, StorageOptions, encode
from nbstep_runner.errors import StorageDeniedError, TerminatedError
from support.memory_runs import backend_of, submit
from support.records import run_record


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


def written(path: str, text: str = "{}") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["out.ipynb", "output.ipynb"])
def test_of_a_run_in_somebodys_project_only_its_own_is_removed(project: Path, name: str) -> None:
    stem = name.removesuffix(".ipynb")
    theirs = {"train.ipynb", "sub/data.csv", "spec.json", f"{stem}2.ipynb", f"{stem}.csv", f"{stem}.files2/a"}
    own = {name, *(f"{stem}{ending}" for ending in (".result.json", ".log.jsonl", ".html", ".partial.ipynb"))}
    own |= {f"{stem}.files/a/b.csv", f"{stem}.state/1/a", f"{stem}.attempts/1.verdict.json"}
    for path in theirs | own:
        written(path)
    collected = (CollectedFile(path="a/b.csv", size=2, checksum=""),)
    record = run_record(
        output_uri=str(project / name), run_id="train-1", exit_code=0, html_uri=f"{stem}.html", files=collected
    )
    Path(f"{stem}.result.json").write_bytes(encode(record))

    told = CliRunner().invoke(delete, [name, "--dry-run"])
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.startswith("train-1: 8 objects, ")
    assert files() == theirs | own

    assert CliRunner().invoke(delete, [name]).exit_code == 0
    assert files() == theirs
    assert not Path(f"{stem}.files").exists()


def test_a_submitted_run_that_is_named_by_its_notebook_goes_whole_and_is_forgotten() -> None:
    run = submit()
    memory = backend_of(run)
    memory.end(run.handle)
    store_of(run.output_uri, StorageOptions()).write(run.output_uri, b"{}")
    assert CliRunner().invoke(delete, [run.output_uri]).exit_code == 0
    assert list(run.store.list(run.output_uri.rpartition("/")[0])) == []
    assert memory.statuses([run.handle])[run.handle].phase is Phase.GONE


def test_another_run_of_that_name_is_not_forgotten_with_it() -> None:
    run = submit(run_id="nightly")
    memory = backend_of(run)
    memory.end(run.handle)
    with patch.object(
        memory, "locate", return_value=replace(run.located, output_uri="memory://other/nightly/output.ipynb")
    ):
        assert CliRunner().invoke(delete, [run.output_uri]).exit_code == 0
    assert memory.statuses([run.handle])[run.handle].phase is not Phase.GONE


def test_objects_go_where_the_place_of_their_run_is_away() -> None:
    run = submit(run_id="nightly")
    memory = backend_of(run)
    memory.end(run.handle)
    with (
        patch.object(memory, "locate", side_effect=ClusterUnavailableError("no answer")),
        pytest.raises(ClusterUnavailableError) as raised,
    ):
        remove(run)
    assert raised.value.hint == "What the run left in storage is removed; memory:/ has not forgotten the run."
    assert list(run.store.list(run.output_uri.rpartition("/")[0])) == []


def ended_long_ago(run: nbstep.Run, **members: Any) -> None:
    record = run.record()
    assert record is not None
    old = replace(record, ended_at=(datetime.now(UTC) - timedelta(days=40)).isoformat(), **members)
    run.store.write(run.output_uri.replace(".ipynb", ".result.json"), encode(old))


def test_prune_removes_what_has_ended_from_its_place_too_and_keeps_what_may_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = f"memory://{secrets.token_hex(4)}/runs"
    done, stopped, preempted = (submit(runs=runs, run_id=name) for name in ("done", "stopped", "preempted"))
    memory = backend_of(done)
    memory.end(done.handle)
    for run in (stopped, preempted):
        memory.end(run.handle, error=TerminatedError("preempted"), state=RunState.CANCELLED)
    memory.begin(preempted.handle)  # its queue starts it again some day
    for run in (done, stopped, preempted):
        ended_long_ago(run)

    told = CliRunner().invoke(prune, ["--runs", runs, "--older-than", "30d"])
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.splitlines()[-1].startswith("2 runs, ")
    assert {stat.uri.split("/")[-2] for stat in preempted.store.list(f"{runs}/")} == {"preempted"}
    phases = {name: status.phase for name, status in memory.statuses([done.handle, preempted.handle]).items()}
    assert phases == {done.handle: Phase.GONE, preempted.handle: Phase.RUNNING}

    def away(_handles: object) -> None:
        raise ClusterUnavailableError("no answer")

    monkeypatch.setattr(memory, "statuses", away)
    told = CliRunner().invoke(prune, ["--runs", runs, "--older-than", "30d"])
    assert (told.exit_code, told.stdout) == (0, "0 runs, 0.0 MB\n")
    assert told.stderr == "nbstep: runs that may go on at memory:/ are kept: no answer\n"


def test_prune_tells_what_it_removed_before_its_store_failed() -> None:
    runs = f"memory://{secrets.token_hex(4)}/runs"
    for name in ("told", "untold"):
        run = submit(runs=runs, run_id=name)
        backend_of(run).end(run.handle)
        ended_long_ago(run)
    with patch.object(removal, "remove_run", side_effect=[Removed("told", 3, 10**6), StorageDeniedError("no right")]):
        told = CliRunner().invoke(prune, ["--runs", runs, "--older-than", "30d"])
    assert isinstance(told.exception, StorageDeniedError)
    assert told.stdout == "told: 3 objects, 1.0 MB removed\n1 runs, 1.0 MB\n"


def test_the_small_run_of_a_checkup_is_ended_before_its_folder_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "DEEP_SECONDS", 0.0)
    started: list[nbstep.Run] = []
    states: list[str] = []

    def start(prepared: Prepared) -> nbstep.Run:
        run = nbstep.api.start(prepared)
        started.append(run)
        delete: Any = run.store.delete

        def noted(uri: str, **more: object) -> None:
            states.append(run.state)
            delete(uri, **more)

        monkeypatch.setattr(run.store, "delete", noted)
        return run

    profile = Profile(on="memory", runs=f"memory://{secrets.token_hex(4)}/runs")
    findings = list(checkup.check_up(profile, start, deep=True))
    assert "has not ended" in findings[-1].words
    (run,) = started
    assert set(states) == {RunState.CANCELLED}
    assert list(run.store.list(run.output_uri.rpartition("/")[0])) == []


def test_a_record_that_a_notebook_left_takes_no_other_run_away() -> None:
    mine, young, foreign = (
        submit(runs=folder, run_id=name)
        for folder, name in (("runs", "mine-run"), ("runs", "young-run"), ("others", "foreign-run"))
    )
    for run in (mine, young, foreign):
        backend_of(run).end(run.handle)
    ended_long_ago(mine)
    ended_long_ago(foreign)
    for number, run_id in enumerate(("young-run", "../others/foreign-run", "mine-run")):
        forged = replace(run_record(run_id=run_id, exit_code=0), ended_at="2020-01-01T00:00:00+00:00")
        written(f"runs/mine-run/sub{number}/output.result.json", encode(forged).decode())

    told = CliRunner().invoke(prune, ["--runs", "runs", "--older-than", "30d"])
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.splitlines()[-1].startswith("1 runs, ")
    assert {folder.name for folder in (*Path("runs").iterdir(), *Path("others").iterdir())} == {
        "young-run",
        "foreign-run",
    }
