"""What Kueue says of a Job, in words: with the conditions that Kueue 0.17 writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from nbstep.backends.kubernetes.queue import Queued, held_back, queued
from nbstep.backends.kubernetes.state import status_of
from nbstep.backends.protocol import Phase

FULL = "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default, 20m more needed"
PREEMPTED = "Preempted to accommodate a workload (UID: 1, JobUID: 2) due to prioritization in the ClusterQueue"
EXPIRED = "The workload is deactivated due to exceeding the maximum execution time"
SWITCHED_OFF = "The workload is deactivated"


def workload(*conditions: tuple[str, bool, str, str], active: bool = True) -> dict[str, Any]:
    told = [
        {"type": kind, "status": str(status), "reason": reason, "message": message}
        for kind, status, reason, message in conditions
    ]
    return {"spec": {"active": active}, "status": {"conditions": told}}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (workload(), Queued()),
        (workload(("QuotaReserved", False, "Pending", FULL)), Queued((f"the queue does not admit it yet: {FULL}",))),
        (
            workload(("QuotaReserved", False, "Pending", FULL), ("Evicted", True, "Preempted", PREEMPTED)),
            Queued((f"the queue took it back: {PREEMPTED}", f"the queue does not admit it yet: {FULL}")),
        ),
        (
            workload(
                ("QuotaReserved", False, "Pending", EXPIRED),
                ("Evicted", True, "DeactivatedDueToMaximumExecutionTimeExceeded", EXPIRED),
                active=False,
            ),
            Queued((f"the queue took it back: {EXPIRED}",), expired=True),
        ),
        # Whoever has switched it off may switch it on again.
        (
            workload(("Evicted", True, "Deactivated", SWITCHED_OFF), active=False),
            Queued((f"the queue took it back: {SWITCHED_OFF}",)),
        ),
        (workload(("QuotaReserved", True, "QuotaReserved", "yes"), ("Evicted", False, "QuotaReserved", "")), Queued()),
    ],
)
def test_a_workload_in_words(found: dict[str, Any], told: Queued) -> None:
    assert queued(found) == told


def job(*, suspend: bool = True, queue: bool = True, **annotations: str) -> dict[str, Any]:
    marks = {f"nbstep/{name}": value for name, value in annotations.items()}
    labels = {"kueue.x-k8s.io/queue-name": "q"} if queue else {}
    return {
        "metadata": {"name": "r", "labels": labels, "annotations": marks},
        "spec": {"suspend": suspend},
        "status": {},
    }


def pod(state: dict[str, Any]) -> dict[str, Any]:
    statuses = [{"name": "nbstep", "image": "i:1", "state": state}]
    return {"metadata": {"name": "p"}, "spec": {"containers": []}, "status": {"containerStatuses": statuses}}


RUNNING, ENDED = pod({"running": {}}), pod({"terminated": {"exitCode": 143, "reason": "Error"}})


@pytest.mark.parametrize(
    ("found", "pods", "told", "phase", "reference"),
    [
        (job(), [], Queued(("why",)), Phase.PENDING, ""),
        (job(cancelled="true"), [], Queued(), Phase.ENDED, "terminated"),
        (job(cancelled="true"), [RUNNING], Queued(), Phase.RUNNING, ""),
        (job(), [], Queued(expired=True), Phase.ENDED, "timed-out"),
        (job(expired="true"), [ENDED], Queued(), Phase.ENDED, "timed-out"),
        (job(), [RUNNING], Queued(expired=True), Phase.RUNNING, ""),
    ],
)
@pytest.mark.fault(28)
def test_a_job_that_its_queue_holds_back_for_good_is_over(
    found: dict[str, Any], pods: list[dict[str, Any]], told: Queued, phase: Phase, reference: str
) -> None:
    status = status_of(found, pods, datetime.now(UTC), queued=told)
    assert (status.phase, status.reference) == (phase, reference)
    assert status.problems == told.problems


def test_only_a_job_without_a_pod_is_held_back() -> None:
    assert held_back(job(), [])
    assert held_back(job(), [ENDED])
    assert not held_back(job(), [RUNNING])
    assert not held_back(job(suspend=False), [])
    assert not held_back(job(queue=False), [])
    assert not held_back(job(cancelled="true"), [])
