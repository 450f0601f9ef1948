"""A run whose process nobody sees: given up only where no error of a clock can explain its silence."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import nbstep
from nbstep.backends.protocol import Phase, Status
from nbstep_runner.contract import Claim, RunResult, RunState, decode, encode
from nbstep_runner.processes import host_identity, started_at
from nbstep_runner.stores.local import LocalStore
from support.memory_runs import backend_of, submit
from support.records import run_record

pytestmark = pytest.mark.fault(67)


def claimed(folder: Path, age: float, host: str = "another", pid: int = 1, started: int = 1) -> Path:
    beat = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    claim = Claim(token="t", host=host, pid=pid, pid_started=started, heartbeat_at=beat, lease_seconds=30.0)  # noqa: S106 - no secret
    file = folder / "out.result.json"
    output = str(folder / "out.ipynb")
    file.write_bytes(encode(replace(run_record(state=RunState.RUNNING, output_uri=output), claim=claim)))
    return file


def test_a_process_that_lives_here_keeps_its_claim_however_old_its_heartbeat(tmp_path: Path) -> None:
    file = claimed(tmp_path, 9000, host_identity(), os.getpid(), started_at(os.getpid()))
    before = file.read_bytes()
    assert nbstep.find(tmp_path / "out.ipynb").state is RunState.RUNNING
    assert file.read_bytes() == before


def test_a_process_that_is_gone_from_here_is_lost_at_once(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    file = claimed(tmp_path, 0, host_identity(), gone.pid, 12345)
    assert nbstep.find(tmp_path / "out.ipynb").state is RunState.LOST
    assert decode(file.read_bytes(), RunResult).state is RunState.LOST


def test_a_heartbeat_that_only_looks_old_has_to_stay_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("nbstep.runs.run.time.monotonic", lambda: now)
    file = claimed(tmp_path, 90)
    before = file.read_bytes()
    run = nbstep.find(tmp_path / "out.ipynb")
    assert run.status().state is RunState.RUNNING
    now += 59
    assert "given up if no other comes" in run.status().words
    assert file.read_bytes() == before
    claimed(tmp_path, 89)  # the clock was wrong, not the run
    now += 59
    assert run.status().state is RunState.RUNNING
    now += 60
    assert run.status().state is RunState.LOST
    assert decode(file.read_bytes(), RunResult).state is RunState.LOST


def test_a_heartbeat_in_the_future_keeps_no_run_that_stays_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("nbstep.runs.run.time.monotonic", lambda: now)
    file = claimed(tmp_path, -9000)
    run = nbstep.find(tmp_path / "out.ipynb")
    assert run.status().state is RunState.RUNNING
    now += 59
    claimed(tmp_path, -9010)  # its clock is ahead, and it lives
    assert run.status().state is RunState.RUNNING
    now += 60
    assert run.status().state is RunState.LOST
    assert decode(file.read_bytes(), RunResult).state is RunState.LOST


def test_a_damaged_record_says_nothing_and_gets_a_verdict_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("nbstep.runs.run.time.monotonic", lambda: now)
    monkeypatch.chdir(tmp_path)
    run = submit()
    memory, place = backend_of(run), run.output_uri.replace(".ipynb", ".result.json")
    memory.begin(run.handle)
    run.store.write(place, b'{"run_id": "tra')
    assert (run.status().state, run.record(), run.results) == (RunState.RUNNING, None, {})
    monkeypatch.setattr(memory, "statuses", lambda handles: dict.fromkeys(handles, Status(phase=Phase.GONE)))
    assert "its record cannot be read" in run.status().words
    now += 59
    assert run.status().state is RunState.RUNNING  # it may be in the middle of being written
    now += 1
    assert run.status().state is RunState.LOST
    assert decode(run.store.read(place).data, RunResult).state is RunState.LOST


def test_a_record_that_was_damaged_long_ago_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = submit(runs=str(tmp_path / "runs"))
    memory, place = backend_of(run), Path(run.output_uri.replace(".ipynb", ".result.json"))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"{")
    monkeypatch.setattr(memory, "statuses", lambda handles: dict.fromkeys(handles, Status(phase=Phase.GONE)))
    assert run.status().state is RunState.RUNNING
    old = time.time() - 601
    os.utime(place, (old, old))
    assert run.status().state is RunState.LOST


def test_a_heartbeat_between_look_and_verdict_leaves_the_run_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = claimed(tmp_path, 9000)
    write = LocalStore.write

    def late(store: LocalStore, uri: str, *arguments: Any, **more: Any) -> str:
        claimed(tmp_path, 0)
        return write(store, uri, *arguments, **more)

    monkeypatch.setattr(LocalStore, "write", late)
    run = nbstep.find(tmp_path / "out.ipynb")
    assert run.state is RunState.RUNNING
    assert decode(file.read_bytes(), RunResult).state is RunState.RUNNING
    monkeypatch.undo()
    assert run.state is RunState.RUNNING
