"""What an attempt leaves is kept when the next one takes its places; other runs leave nothing there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nbstep.runs.verdict import earlier_verdicts
from nbstep_runner.contract import Claim, ErrorInfo, RunResult, RunState, encode
from nbstep_runner.errors import StorageUnavailableError, TerminatedError
from nbstep_runner.session import attempts
from nbstep_runner.session.attempts import keep_attempt, lost
from nbstep_runner.stores.local import LocalStore
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from nbstep_runner.testing import Fault, FaultyStore
from support.records import run_record
from unit.session.test_stored_output import LOG, OUTPUT, RECORD, Held

STOPPED = run_record(
    run_id="r",
    output_uri=OUTPUT,
    log_uri=LOG,
    state=RunState.CANCELLED,
    exit_code=143,
    error=ErrorInfo.of(TerminatedError("stopped")),
)
GONE = Claim(
    token="t",  # noqa: S106 - no secret
    host="elsewhere",
    pid=1,
    pid_started=1,
    heartbeat_at="2020-01-01T00:00:00+00:00",
    lease_seconds=1,
)
KILLED = replace(STOPPED, state=RunState.RUNNING, exit_code=None, error=None, claim=GONE)


class After:
    """Runs that begin where another has left its record and its log."""

    def __init__(self) -> None:
        self.store = MemoryStore(MemorySpace())
        self._held: list[Held] = []

    def begin(self, left: RunResult, log: bytes = b"lines", **fields: Any) -> Held:
        self.store.write(RECORD, encode(left))
        self.store.write(LOG, log)
        self._held.append(Held(fields.pop("store", self.store), **fields))
        return self._held[-1]

    def objects(self) -> dict[str, bytes]:
        stats = self.store.list("memory://runs/out.attempts/")
        return {stat.uri.rpartition("/")[2]: self.store.read(stat.uri).data for stat in stats}

    def close(self) -> None:
        for held in self._held:
            held.close()


@pytest.fixture
def after() -> Iterator[After]:
    made = After()
    yield made
    made.close()


def test_verdict_and_log_of_each_attempt_are_kept(after: After) -> None:
    after.begin(STOPPED, b"first", attempt=2)
    after.begin(replace(STOPPED, attempt=2), b"second", attempt=3)
    objects = after.objects()
    assert (objects["1.log.jsonl"], objects["2.log.jsonl"]) == (b"first", b"second")
    assert [record.attempt for record in earlier_verdicts(after.store, OUTPUT)] == [1, 2]
    assert earlier_verdicts(after.store, OUTPUT)[0] == STOPPED


def test_a_log_on_this_machine_is_copied_as_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = f"{tmp_path}/out.ipynb"
    (tmp_path / "out.log.jsonl").write_bytes(b"lines")
    monkeypatch.setattr(LocalStore, "read", None)
    left = replace(STOPPED, output_uri=output)
    keep_attempt(output, left, lambda _: LocalStore())
    assert (tmp_path / "out.attempts" / "1.log.jsonl").read_bytes() == b"lines"


def test_a_log_too_large_for_memory_is_left_and_that_is_said(after: After, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "LARGEST_LOG", 4)
    held = after.begin(STOPPED, b"lines", attempt=2)
    assert set(after.objects()) == {"1.verdict.json"}
    assert any("the log of the attempt before is not kept" in warning for warning in held.ledger.result.warnings)


@pytest.mark.fault(28)
@pytest.mark.parametrize("left", [KILLED, lost(KILLED, f"silent since {GONE.heartbeat_at}")], ids=["claim", "settled"])
def test_an_attempt_that_was_killed_is_lost_and_has_no_log_of_another(after: After, left: RunResult) -> None:
    after.begin(left, b"of an attempt before", attempt=2)
    assert set(after.objects()) == {"1.verdict.json"}
    (verdict,) = earlier_verdicts(after.store, OUTPUT)
    assert (verdict.state, verdict.exit_code, verdict.claim) == (RunState.LOST, 12, None)
    assert verdict.error is not None
    assert verdict.error.reference == "lost"
    assert GONE.heartbeat_at in verdict.error.message


@pytest.mark.parametrize(
    ("left", "fields"), [(replace(STOPPED, run_id="another"), {"attempt": 2}), (STOPPED, {"attempt": 1})]
)
def test_nothing_is_kept_of_what_is_no_earlier_attempt(after: After, left: RunResult, fields: dict[str, Any]) -> None:
    after.begin(left, **fields)
    assert after.objects() == {}


def test_an_attempt_that_cannot_be_kept_is_a_warning(after: After) -> None:
    fault = Fault(operation="write", suffix=".verdict.json", error=StorageUnavailableError("away"))
    held = after.begin(STOPPED, attempt=2, store=FaultyStore(after.store, [fault]))
    assert held.stored().state is RunState.RUNNING
    assert any("away" in warning for warning in held.ledger.result.warnings)
