"""The record of a run that was killed is settled for it: by its own claim alone, and in no next attempt's way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbstep.errors import LostRunError
from nbstep_runner import processes
from nbstep_runner.contract import Claim, ErrorInfo, RunResult, RunSpec, RunState, StorageOptions, decode, encode
from nbstep_runner.errors import OutputConflictError
from nbstep_runner.session import abandoned
from nbstep_runner.session.earlier import look_at_output
from nbstep_runner.session.ledger import Ledger, LogSettings
from nbstep_runner.session.stored_output import StoredOutput
from nbstep_runner.sinks.log import LogFormat
from nbstep_runner.stores import open_store
from nbstep_runner.supervisor import Supervisor
from support.records import run_record

GONE = 2**22 + 1
"""No process has this pid."""


@pytest.fixture(autouse=True)
def _no_alarm() -> Iterator[None]:
    yield
    signal.alarm(0)


def claim(token: str = "its own", *, best_effort: bool = False) -> Claim:  # noqa: S107 - names a claim
    return Claim(
        token=token,
        host=processes.host_identity(),
        pid=GONE,
        pid_started=1,
        heartbeat_at="2026-01-01T00:00:00.000+00:00",
        lease_seconds=30.0,
        best_effort=best_effort,
    )


def left(folder: Path, record: RunResult) -> bytes:
    """Let a record lie there; what its watchdog was entrusted with."""
    place = folder / "out.result.json"
    place.write_bytes(encode(record, indent=1))
    return encode(abandoned.Claimed(uri=str(place), token="its own", storage=StorageOptions()))  # noqa: S106 - as above


def lying(folder: Path) -> RunResult:
    return decode((folder / "out.result.json").read_bytes(), RunResult)


@pytest.mark.fault(12)
def test_a_run_that_was_killed_is_lost(tmp_path: Path) -> None:
    running = run_record(RunState.RUNNING, claim=claim(), warnings=("of the run",))
    abandoned.settle(left(tmp_path, running))
    record = lying(tmp_path)
    assert (record.state, record.exit_code, record.claim) == (RunState.LOST, 12, None)
    assert record.error == ErrorInfo.of(LostRunError("the run's process ended without a verdict"))
    assert record.warnings == ("of the run", "this record was written by the run's watchdog, not by the run")


@pytest.mark.parametrize(
    "record",
    [
        run_record(RunState.SUCCEEDED),
        run_record(RunState.RUNNING, claim=claim("another's")),
        run_record(RunState.RUNNING, claim=claim(best_effort=True)),
    ],
    ids=["final", "of another", "where two may write"],
)
def test_no_other_record_is_touched(tmp_path: Path, record: RunResult) -> None:
    abandoned.settle(left(tmp_path, record))
    assert lying(tmp_path) == record


def next_attempt(folder: Path, supervisor: Supervisor) -> StoredOutput:
    """One that has looked at the output."""
    spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri=str(folder / "out.ipynb"), attempt=2)
    ledger = Ledger(spec, None, LogSettings(stream=None, format=LogFormat.JSON))
    output = StoredOutput(spec, lambda uri: open_store(uri, spec.storage), supervisor, ledger)
    output.await_turn(look_at_output(output.places, lambda uri: open_store(uri, spec.storage)))
    return output


@pytest.mark.fault(12)
@pytest.mark.fault(24)
def test_an_attempt_that_begins_meanwhile_takes_the_output_all_the_same(tmp_path: Path) -> None:
    entrusted = left(tmp_path, run_record(RunState.RUNNING, claim=claim()))
    with Supervisor(2.0) as supervisor:
        output = next_attempt(tmp_path, supervisor)
        abandoned.settle(entrusted)
        output.claim()
    record = lying(tmp_path)
    assert (record.state, record.attempt) == (RunState.RUNNING, 2)
    abandoned.settle(entrusted)
    assert lying(tmp_path) == record


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    "verdict",
    [run_record(RunState.SUCCEEDED), run_record(RunState.LOST, run_id="another"), run_record(RunState.LOST, attempt=3)],
    ids=["success", "another run's", "a later attempt's"],
)
def test_it_takes_no_output_over_another_verdict(tmp_path: Path, verdict: RunResult) -> None:
    left(tmp_path, run_record(RunState.RUNNING, claim=claim()))
    with Supervisor(2.0) as supervisor:
        output = next_attempt(tmp_path, supervisor)
        left(tmp_path, verdict)
        with pytest.raises(OutputConflictError):
            output.claim()
    assert lying(tmp_path) == verdict
