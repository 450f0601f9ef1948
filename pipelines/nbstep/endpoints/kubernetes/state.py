"""How an endpoint's Deployment and the pods of a revision stand, as one status. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from nbstep.backends.kubernetes.diagnose import Termination, container_status, problems, termination
from nbstep.backends.kubernetes.names import Object
from nbstep.backends.protocol import Phase, Status
from nbstep.errors import KINDS
from nbstep_runner.errors import Retry


def status_of(deployment: Object, pods: Sequence[Object], *, told: Sequence[str] = (), older: int = 0) -> Status:
    """The status of the newest revision.

    Args:
        deployment: It.
        pods: Those of that revision, the oldest first.
        told: Problems that the cluster's events tell of.
        older: How many pods of other revisions there still are: until they are gone, one of them may answer.
    """
    trouble = tuple(dict.fromkeys([*(problem for pod in pods for problem in problems(pod)), *told]))
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if seen and updated == wanted and available >= wanted and status.get("replicas", 0) == updated:
        if older:
            return Status(phase=Phase.PENDING, words="the pods before answer what is under way", problems=trouble)
        return Status(phase=Phase.RUNNING, words=f"{available} of {wanted} pods answer", problems=trouble)
    if (last := final_ending(pods)) is not None:
        return Status(
            phase=Phase.ENDED, exit_code=last.exit_code, words=last.words, problems=trouble, reference=last.reference
        )
    words = trouble[-1] if trouble else f"{sum(map(is_ready, pods))} of {wanted} pods of the newest revision answer"
    return Status(phase=Phase.PENDING, words=words, problems=trouble)


def final_ending(pods: Sequence[Object]) -> Termination | None:
    """How a pod's container ended the last time, where the same start can only end so again.

    The cluster starts a container again whatever its end; a notebook that fails, or a model that is not there, fails
    again.
    """
    if any(map(is_ready, pods)):
        return None
    for pod in reversed(pods):
        last = termination(pod) or _earlier(pod)
        kind = KINDS.get(last.reference) if last is not None else None
        if kind is not None and kind.retry is Retry.NEVER:
            return last
    return None


def is_ready(pod: Object) -> bool:
    """Whether a pod answers."""
    return bool(container_status(pod).get("ready"))


def _earlier(pod: Object) -> Termination | None:
    """How the container ended before its present start."""
    container = container_status(pod)
    terminated = container.get("lastState", {}).get("terminated")
    if terminated is None:
        return None
    before = {**container, "state": {"terminated": terminated}}
    return termination({**pod, "status": {"containerStatuses": [before]}})
