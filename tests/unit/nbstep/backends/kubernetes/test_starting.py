"""When a launcher gives up a run whose pod does not start, what it says, and when it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from nbstep.backends.kubernetes.api.cluster import Cluster
from nbstep.backends.kubernetes.names import JobName
from nbstep.backends.kubernetes.starting import give_up_late
from nbstep.errors import ClusterDeniedError

NAME = JobName("c", "n", "r")
LATE, EARLY = 100, -7200
"""Seconds ago; cases are made when tests are collected, and judged at any time after that."""
LIMIT = 60
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
QUOTA = {"reason": "FailedCreate", "type": "Warning", "message": "exceeded quota: pods"}
PULLING = {"waiting": {"reason": "ImagePullBackOff", "message": "denied"}}
ENDED = {"terminated": {"exitCode": 75}}


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def job(seconds: float = LATE, limit: int | None = LIMIT, *, over: bool = False, **spec: Any) -> dict[str, Any]:
    annotations = {"nbstep/start-seconds": str(limit)} if limit else {}
    conditions = [{"type": "Failed", "status": "True"}] if over else []
    return {
        "metadata": {"name": "r", "uid": "j", "annotations": annotations},
        "spec": spec,
        "status": {"startTime": ago(seconds), "conditions": conditions},
    }


def pod(seconds: float = LATE, state: dict[str, Any] | None = None, **metadata: str) -> dict[str, Any]:
    statuses = {"containerStatuses": [{"name": "nbstep", "image": "i:1", "state": state}]} if state else {}
    return {
        "metadata": {"name": "p", "uid": "u", "creationTimestamp": ago(seconds), **metadata},
        "spec": {"containers": [{"name": "nbstep", "image": "i:1"}]},
        "status": statuses | {"conditions": [] if state else [UNSCHEDULABLE]},
    }


class Recording:
    """A cluster that has these events, and keeps what it is asked to change."""

    def __init__(self, *events: dict[str, Any], denied: bool = False, ahead: float = 0.0) -> None:
        self._events, self._denied, self._ahead = events, denied, ahead
        self.patched: list[dict[str, Any]] = []

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def events(self, _namespace: str, _uid: str) -> list[dict[str, Any]]:
        return list(self._events)

    def patch_job(self, _namespace: str, _name: str, operations: list[dict[str, Any]]) -> None:
        if self._denied:
            raise ClusterDeniedError("patch is forbidden")
        self.patched += operations


def given_up(cluster: Recording, found: dict[str, Any], *pods: dict[str, Any]) -> str | None:
    """The reason that is written into the Job, if it is ended."""
    give_up_late(cast("Cluster", cluster), NAME, found, pods)
    values = {each["path"]: each["value"] for each in cluster.patched}
    assert values.get("/spec/activeDeadlineSeconds", 0) == 0
    reason = values.get("/metadata/annotations/nbstep~1not-started")
    return None if reason is None else str(reason)


@pytest.mark.parametrize(
    ("events", "found", "pods", "reason"),
    [
        ((), job(), [pod()], "the pod had not started after 60 s; no node takes the pod: 0/3 nodes"),
        ((), job(), [pod(state=PULLING)], "the image i:1 cannot be pulled, and is tried again: denied"),
        ((), job(), [pod(state={"waiting": {"reason": "ContainerCreating"}})], "the pod had not started after 60 s"),
        ((QUOTA,), job(), [], "the namespace's quota is used up: exceeded quota: pods"),
        ((), job(), [pod(300, ENDED), pod(LATE)], "no node takes the pod"),
        # Not yet, not any more, or not its fault.
        ((), job(limit=None), [pod()], None),
        ((), job(), [pod(EARLY)], None),
        ((), job(), [pod(state={"running": {}})], None),
        ((), job(), [pod(300, ENDED), pod(EARLY)], None),
        ((), job(), [pod(state=ENDED)], None),
        ((), job(), [pod(deletionTimestamp=ago(1))], None),
        ((), job(), [], None),
        ((QUOTA,), job(EARLY), [], None),
        ((), job(suspend=True), [], None),
        ((), job(over=True), [pod()], None),
    ],
)
@pytest.mark.fault(28)
def test_a_pod_that_does_not_start_in_time_is_given_up(
    events: tuple[dict[str, Any], ...], found: dict[str, Any], pods: list[dict[str, Any]], reason: str | None
) -> None:
    said = given_up(Recording(*events), found, *pods)
    assert (said is None) is (reason is None)
    assert (reason or "") in (said or "")


def test_a_pod_is_as_old_as_the_cluster_says_whatever_the_clock_here() -> None:
    assert given_up(Recording(ahead=-LATE), job(), pod()) is None
    assert given_up(Recording(ahead=LATE - EARLY), job(), pod(EARLY)) is not None


def test_it_is_given_up_once() -> None:
    found = job()
    found["metadata"]["annotations"]["nbstep/not-started"] = "no node"
    assert given_up(Recording(), found, pod()) is None


def test_who_may_only_read_leaves_it_to_others() -> None:
    assert given_up(Recording(denied=True), job(), pod()) is None
