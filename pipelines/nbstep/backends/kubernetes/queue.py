"""A Job that Kueue holds back: what its Workload says of the reason, and whether it will ever be let go again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nbstep.backends.kubernetes.diagnose import one_line, termination
from nbstep.backends.kubernetes.names import CANCELLED_ANNOTATION, QUEUE_LABEL, Object

JOB_UID_LABEL: Final = "kueue.x-k8s.io/job-uid"
"""Of a Workload: the Job that it stands for."""
_OUT_OF_TIME: Final = "MaximumExecutionTimeExceeded"


@dataclass(frozen=True, slots=True)
class Queued:
    """What Kueue says of a Job that it holds back.

    Attributes:
        problems: Why, a sentence each.
        expired: It was admitted for as long as it may be, and never will be again.
    """

    problems: tuple[str, ...] = ()
    expired: bool = False


def held_back(job: Object, pods: Sequence[Object]) -> bool:
    """Whether a Job waits for its queue, and no pod of it is left. One that is cancelled waits for nothing."""
    if CANCELLED_ANNOTATION in job["metadata"].get("annotations", {}):
        return False
    queued = QUEUE_LABEL in job["metadata"].get("labels", {}) and bool(job["spec"].get("suspend"))
    return queued and all(termination(pod) is not None for pod in pods)


def queued(workload: Object) -> Queued:
    """What Kueue says of a Job by its Workload."""
    active = workload["spec"].get("active", True)
    conditions = {each["type"]: each for each in workload.get("status", {}).get("conditions") or ()}
    evicted = conditions.get("Evicted", {})
    expired = not active and str(evicted.get("reason", "")).endswith(_OUT_OF_TIME)
    return Queued(tuple(_problems(conditions, active=active)), expired)


def _problems(conditions: Mapping[str, Object], *, active: bool) -> Iterator[str]:
    evicted, reserved = conditions.get("Evicted", {}), conditions.get("QuotaReserved", {})
    if evicted.get("status") == "True":
        yield f"the queue took it back: {one_line(evicted.get('message', ''))}"
    if active and reserved.get("status") == "False" and reserved.get("message") != evicted.get("message"):
        yield f"the queue does not admit it yet: {one_line(reserved.get('message', ''))}"
