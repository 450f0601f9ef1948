"""A run of several attempts, as it lies in storage: its log is theirs in turn, and each verdict is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import nbstep
from nbstep.cli.logs import command as logs
from nbstep.cli.status import command as status
from nbstep_runner.contract import ErrorInfo, RunState, encode
from nbstep_runner.errors import TerminatedError
from support.memory_runs import backend_of, submit
from support.records import run_record


def numbered(attempt: int, *messages: str) -> str:
    lines = [
        f'{{"message":"{message}","attempt":{attempt},"seq":{number},"time":"2026-01-01T00:00:00Z"}}'
        for number, message in enumerate(messages, 1)
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def output(tmp_path: Path) -> str:
    output = tmp_path / "train/output.ipynb"
    record = run_record(
        run_id="train", attempt=2, output_uri=str(output), log_uri=str(output), exit_code=0, seconds=3.0
    )
    error = ErrorInfo.of(TerminatedError("the run was terminated (SIGTERM)"))
    stopped = replace(record, attempt=1, state=RunState.CANCELLED, exit_code=143, error=error)
    folder = output.with_name("output.attempts")
    folder.mkdir(parents=True)
    output.write_text("{}")
    (folder / "1.verdict.json").write_bytes(encode(stopped))
    (folder / "1.log.jsonl").write_text(numbered(1, "begun", "stopped"))
    (folder / "notes.verdict.json").write_text("no record")
    output.with_name("output.result.json").write_bytes(encode(record))
    output.with_name("output.log.jsonl").write_text(numbered(2, "begun", "finished"))
    return str(output)


def test_lines_and_verdicts_come_attempt_by_attempt(output: str) -> None:
    run = nbstep.find(output)
    assert isinstance(run, nbstep.Run)
    shown = [(line.attempt, line.message) for line in run.lines() if line.event != "notice"]
    assert shown == [(1, "begun"), (1, "stopped"), (2, "begun"), (2, "finished")]
    assert [(one.attempt, one.state) for one in run.attempts()] == [(1, "cancelled"), (2, "succeeded")]


def test_the_commands_show_them(output: str) -> None:
    told = CliRunner().invoke(status, [output])
    assert (told.exit_code, told.stderr) == (0, "")
    assert "  attempt 1: cancelled in 3.0 s: the run was terminated (SIGTERM)\n" in told.stdout
    told = CliRunner().invoke(logs, [output])
    assert (told.exit_code, told.stderr) == (0, "")
    assert [line.rpartition(" ")[2] for line in told.stdout.splitlines() if "log" not in line] == [
        "begun",
        "stopped",
        "begun",
        "finished",
    ]


@pytest.mark.fault(28)
def test_what_an_attempt_found_is_no_result_while_another_can_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = submit()
    backend = backend_of(run)
    backend.end(run.handle, results={"n": 1}, error=TerminatedError("preempted"), state=RunState.CANCELLED)
    backend.begin(run.handle)  # the cluster has started it again, and it has not yet said so
    assert (run.results, run.files()) == ({}, ())
    backend.end(run.handle, results={"n": 2})
    assert run.results == {"n": 2}
