"""What a place says and what a record says, put together; and what a cluster's objects mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nbstep.backends.kubernetes.state import status_of
from nbstep.backends.protocol import Phase, Status
from nbstep.errors import error_of
from nbstep.runs.verdict import combine, final_record
from nbstep_runner.contract import Claim, ErrorInfo, RunResult, RunState
from nbstep_runner.errors import CellFailedError, InternalError, OutOfMemoryError, TerminatedError
from support.records import run_record

BLANK = run_record(state=RunState.PENDING, output_uri="o", labels={"a": "b"})
DONE = replace(BLANK, state=RunState.SUCCEEDED, exit_code=0)
FAILED = replace(BLANK, state=RunState.FAILED, exit_code=10, error=ErrorInfo.of(CellFailedError("no")))
STOPPED = replace(BLANK, state=RunState.CANCELLED, exit_code=143, error=ErrorInfo.of(TerminatedError("stopped")))


def running(age: float) -> RunResult:
    beat = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    claim = Claim(token="t", host="h", pid=1, pid_started=1, heartbeat_at=beat, lease_seconds=30.0)  # noqa: S106 - no secret
    return replace(BLANK, state=RunState.RUNNING, claim=claim)


@pytest.mark.parametrize(
    ("status", "record", "state"),
    [
        (Status(phase=Phase.PENDING), None, RunState.PENDING),
        (Status(phase=Phase.RUNNING), None, RunState.RUNNING),
        (Status(phase=Phase.RUNNING), 0, RunState.RUNNING),
        # A committed record wins, whatever the place says.
        (Status(phase=Phase.RUNNING), DONE, RunState.SUCCEEDED),
        (Status(phase=Phase.ENDED, exit_code=137, reference="out-of-memory"), DONE, RunState.SUCCEEDED),
        (Status(phase=Phase.GONE, reference="lost"), FAILED, RunState.FAILED),
        (Status(phase=Phase.ENDED, exit_code=0), FAILED, RunState.FAILED),
        # A failure that a retry can mend is the verdict only once there will be no retry.
        (Status(phase=Phase.PENDING), STOPPED, RunState.PENDING),
        (Status(phase=Phase.ENDED), STOPPED, RunState.CANCELLED),
        # Ended without a record: what the place knows, and never success.
        (Status(phase=Phase.ENDED, exit_code=0), None, RunState.LOST),
        (Status(phase=Phase.ENDED, exit_code=137, reference="out-of-memory"), None, RunState.FAILED),
        (Status(phase=Phase.ENDED, reference="not-started"), None, RunState.FAILED),
        (Status(phase=Phase.ENDED, cancelled=True), None, RunState.CANCELLED),
        (Status(phase=Phase.GONE, reference="lost"), None, RunState.LOST),
        # A process that nobody sees is not given up while its heartbeat may still come.
        (Status(phase=Phase.GONE, reference="lost"), 5, RunState.RUNNING),
        (Status(phase=Phase.GONE, reference="lost"), 90, RunState.LOST),
        (Status(phase=Phase.ENDED, exit_code=137), 5, RunState.LOST),
    ],
)
@pytest.mark.fault(29)
def test_one_answer_out_of_two(status: Status, record: RunResult | int | None, state: RunState) -> None:
    # A number is the age of a running record's heartbeat, counted from now, not from when the tests were collected.
    found = running(record) if isinstance(record, int) else record
    assert combine(status, found).state is state


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING])
def test_the_record_of_an_attempt_that_was_taken_away_is_not_that_of_the_run(phase: Phase) -> None:
    status = combine(Status(phase=phase, words="waiting for its queue"), STOPPED)
    assert (status.state, status.record) == (RunState(phase), None)
    assert status.words == "waiting for its queue; attempt 1: cancelled: stopped"


def test_the_launchers_verdict_agrees_with_itself() -> None:
    status = Status(phase=Phase.ENDED, exit_code=137, words="killed for memory", reference="out-of-memory")
    verdict = final_record(status, running(5))
    assert (verdict.state, verdict.exit_code, verdict.claim) == (RunState.FAILED, 13, None)
    assert verdict.error is not None
    assert isinstance(error_of(verdict.error), OutOfMemoryError)
    assert combine(status, verdict).state is verdict.state
    assert "written by the launcher" in verdict.warnings[-1]


def test_an_error_comes_back_as_it_was() -> None:
    info = ErrorInfo(reference="cell-failed", message="cell 3: no", hint="look", traceback=("a", "b"))
    error = error_of(info)
    assert isinstance(error, CellFailedError)
    assert (error.message, error.hint, error.__notes__) == ("cell 3: no", "look", ["a\nb"])
    assert isinstance(error_of(replace(info, reference="of the future")), InternalError)


def job(
    *conditions: tuple[str, str], cancelled: bool = False, suspend: bool = False, given_up: str = ""
) -> dict[str, Any]:
    annotations = {"nbstep/cancelled": "true"} if cancelled else {}
    annotations |= {"nbstep/not-started": given_up} if given_up else {}
    told = [{"type": kind, "status": "True", "reason": reason, "message": reason} for kind, reason in conditions]
    spec = {"suspend": True} if suspend else {}
    return {"metadata": {"name": "r", "annotations": annotations}, "spec": spec, "status": {"conditions": told}}


def pod(state: dict[str, Any] | None = None, deleted: str | None = None, **status: Any) -> dict[str, Any]:
    containers = [{"name": "nbstep", "image": "i:1", "resources": {"limits": {"memory": "1Gi"}}}]
    statuses = {"containerStatuses": [{"name": "nbstep", "image": "i:1", "state": state}]} if state else {}
    metadata = {"name": "p", "uid": "u"} | ({"deletionTimestamp": deleted} if deleted else {})
    return {"metadata": metadata, "spec": {"containers": containers}, "status": statuses | status}


def terminated(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
LONG_AGO = "2020-01-01T00:00:00Z"
FAILED_JOB = ("Failed", "BackoffLimitExceeded")
LATE_JOB = ("Failed", "DeadlineExceeded")


@pytest.mark.parametrize(
    ("found", "pods", "phase", "words", "reference"),
    [
        (job(), [], Phase.PENDING, "waiting for a pod", ""),
        (job(suspend=True), [], Phase.PENDING, "waiting for its queue", ""),
        (job(), [pod(waiting("ContainerCreating"))], Phase.PENDING, "waits for a node", ""),
        (job(), [pod(conditions=[UNSCHEDULABLE])], Phase.PENDING, "no node takes the pod: 0/3 nodes", ""),
        (job(), [pod(waiting("ImagePullBackOff", "denied"))], Phase.PENDING, "the image i:1 cannot be pulled", ""),
        (job(), [pod(waiting("InvalidImageName"))], Phase.PENDING, "name i:1 is not valid", ""),
        (job(), [pod({"running": {}})], Phase.RUNNING, "pod p runs", ""),
        (job(("Complete", "")), [pod(terminated(0))], Phase.ENDED, "ended with 0", ""),
        (job(FAILED_JOB), [pod(terminated(137, "OOMKilled"))], Phase.ENDED, "its limit is 1Gi", "out-of-memory"),
        (job(FAILED_JOB), [pod(terminated(137))], Phase.ENDED, "killed by signal 9", "lost"),
        (job(FAILED_JOB), [pod(terminated(77, message="denied"))], Phase.ENDED, "denied", "storage-denied"),
        (
            job(FAILED_JOB),
            [pod(terminated(10, message='{"error":{"message":"cell 1 raised"}}'))],
            Phase.ENDED,
            "cell 1 raised",
            "cell-failed",
        ),
        (
            job(FAILED_JOB),
            [pod(phase="Failed", reason="Evicted", message="disk")],
            Phase.ENDED,
            "evicted: disk",
            "lost",
        ),
        (job(FAILED_JOB), [pod(phase="Failed", reason="NodeLost")], Phase.ENDED, "node went away", "lost"),
        (job(FAILED_JOB), [], Phase.ENDED, "its pods are gone", "lost"),
        (job(LATE_JOB), [], Phase.ENDED, "before anything could start", "not-started"),
        (job(LATE_JOB), [pod(terminated(143))], Phase.ENDED, "deadline passed", "timed-out"),
        (
            job(LATE_JOB),
            [pod(waiting("ErrImagePull"), deleted="2999-01-01T00:00:00Z")],
            Phase.ENDED,
            "could start",
            "not-started",
        ),
        (job(LATE_JOB, given_up="no node"), [], Phase.ENDED, "no node", "not-started"),
        # Its pod began in the last moment: it was stopped while it ran.
        (job(LATE_JOB, given_up="no node"), [pod(terminated(137))], Phase.ENDED, "deadline passed", "timed-out"),
        (job(LATE_JOB, cancelled=True), [], Phase.ENDED, "it was cancelled", "terminated"),
        (job(LATE_JOB), [pod({"running": {}}, deleted="2999-01-01T00:00:00Z")], Phase.RUNNING, "saving and ending", ""),
        (job(LATE_JOB), [pod({"running": {}}, deleted=LONG_AGO)], Phase.GONE, "deadline passed", "timed-out"),
        (job(), [pod(terminated(75)), pod({"running": {}})], Phase.RUNNING, "pod p runs", ""),
    ],
)
@pytest.mark.fault(28)
def test_a_jobs_objects_in_words(
    found: dict[str, Any], pods: list[dict[str, Any]], phase: Phase, words: str, reference: str
) -> None:
    status = status_of(found, pods, datetime.now(UTC))
    assert (status.phase, status.reference) == (phase, reference)
    assert words in status.words


@pytest.mark.fault(28)
def test_an_eviction_is_told_beside_the_record_that_the_run_could_still_write() -> None:
    evicted = pod(terminated(143), phase="Failed", reason="Evicted", message='Usage of "work" exceeds the limit')
    told = combine(status_of(job(FAILED_JOB), [evicted], datetime.now(UTC)), STOPPED)
    assert told.state is RunState.CANCELLED
    assert told.problems == ('the pod was evicted: Usage of "work" exceeds the limit',)
