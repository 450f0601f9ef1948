"""Runs are listed from their records, newest first."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import nbstep
from nbstep.runs.history import AT_ONCE
from nbstep_runner.contract import Claim, RunResult, RunSpec, RunState, decode, encode
from nbstep_runner.stores import redact


def test_the_limit_is_of_those_in_the_state(tmp_path: Path) -> None:
    count = 3 * AT_ONCE
    for number in range(count):
        spec = RunSpec(run_id=f"r{number}", input_uri="in.ipynb", output_uri="output.ipynb")
        state = RunState.SUCCEEDED if number % 10 else RunState.FAILED
        file = tmp_path / spec.run_id / "output.result.json"
        file.parent.mkdir()
        file.write_bytes(encode(replace(RunResult.blank(spec, redact), state=state)))
        os.utime(file, (number, number))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/output.result.json").write_text("{")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun/spec.json").write_bytes(encode(RunSpec(run_id="begun", input_uri="i", output_uri="o")))

    def listed(**options: object) -> list[str]:
        return [record.run_id for record in nbstep.history(str(tmp_path), **options)]  # type: ignore[arg-type]  # options of several types

    assert listed(limit=2) == ["begun", f"r{count - 1}"]
    failed = [f"r{number}" for number in reversed(range(0, count, 10))]
    assert listed(state="failed") == failed
    assert listed(state="failed", limit=2) == failed[:2]
    assert listed(state="pending") == ["begun"]
    assert len(listed()) == count + 1


@pytest.mark.parametrize("folder", ["output.files", "output.files/deep", "output.state", "output.attempts"])
def test_no_notebook_forges_a_run_in_the_folders_of_its_own_run(tmp_path: Path, folder: str) -> None:
    forged = RunSpec(run_id="forged", input_uri="in.ipynb", output_uri="output.ipynb")
    for place, name in ((folder, "output.result.json"), (f"{folder}/other", "spec.json")):
        (tmp_path / "train" / place).mkdir(parents=True)
        content = RunResult.blank(forged, redact) if name.endswith("result.json") else forged
        (tmp_path / "train" / place / name).write_bytes(encode(content))
    assert nbstep.history(str(tmp_path)) == []


@pytest.mark.fault(71)
def test_a_run_without_a_heartbeat_is_shown_as_lost_and_settled_by_whoever_asks(tmp_path: Path) -> None:
    """A step of a pipeline that was killed: nobody submitted it, and its record alone says how it stands."""
    claim = Claim(token="t", host="h", pid=1, pid_started=1, heartbeat_at="", lease_seconds=30.0)  # noqa: S106 - no secret
    spec = RunSpec(
        run_id="train-1672ed32", input_uri="in.ipynb", output_uri=str(tmp_path / "train-1672ed32/output.ipynb")
    )
    file = tmp_path / "train-1672ed32/output.result.json"
    file.parent.mkdir()
    for age, state in ((61, "lost"), (20, "running")):
        beat = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
        held = replace(RunResult.blank(spec, redact), state=RunState.RUNNING, claim=replace(claim, heartbeat_at=beat))
        file.write_bytes(encode(held))
        (seen,) = nbstep.history(str(tmp_path))
        assert seen.state == state
        assert decode(file.read_bytes(), RunResult) == held, "looking has written something"
    file.write_bytes(encode(replace(held, claim=replace(claim, heartbeat_at="2026-01-01T00:00:00+00:00"))))
    result = nbstep.find("train-1672", runs=str(tmp_path)).wait(check=False)
    assert result.state is RunState.LOST
    assert decode(file.read_bytes(), RunResult).state is RunState.LOST
