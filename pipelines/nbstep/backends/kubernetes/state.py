"""How a Job and its pods stand, as one status. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from nbstep.backends.kubernetes.diagnose import Termination, container_status, problems, termination
from nbstep.backends.kubernetes.names import CANCELLED_ANNOTATION, EXPIRED_ANNOTATION, NOT_STARTED_ANNOTATION, Object
from nbstep.backends.kubernetes.queue import Queued
from nbstep.backends.protocol import Phase, Status

NOT_QUEUED: Final = Queued()
OVERDUE_SECONDS: Final = 60.0
"""Past its own deletion for this long, a pod is on a node that does not answer."""


def status_of(
    job: Object, pods: Sequence[Object], now: datetime, told: Sequence[str] = (), queued: Queued = NOT_QUEUED
) -> Status:
    """The status of a run.

    Args:
        job: Its Job.
        pods: The Job's pods, the oldest first.
        now: The cluster's time.
        told: Problems that the cluster's events tell of.
        queued: What Kueue says of the Job.
    """
    living = [pod for pod in pods if termination(pod) is None]
    of_pods = (problem for pod in pods for problem in problems(pod))
    trouble = tuple(dict.fromkeys([*of_pods, *told, *queued.problems]))
    cancelled = CANCELLED_ANNOTATION in job["metadata"].get("annotations", {})
    failed, complete = condition(job, "Failed"), condition(job, "Complete")
    if failed is None and complete is None:
        if not living and withdrawn(job, queued):
            words = "it was cancelled" if cancelled else "it was admitted for as long as its deadline allows"
            reference = "terminated" if cancelled else "timed-out"
            return Status(phase=Phase.ENDED, words=words, problems=trouble, reference=reference, cancelled=cancelled)
        return _under_way(living, trouble, job, cancelled=cancelled)
    saving = [pod for pod in living if started(pod) or "deletionTimestamp" not in pod["metadata"]]
    if saving and not all(overdue(pod, now) for pod in saving):
        return Status(phase=Phase.RUNNING, words="the pod is saving and ending", problems=trouble, cancelled=cancelled)
    return _ended(job, pods, trouble, cancelled=cancelled, vanished=bool(saving))


def withdrawn(job: Object, queued: Queued) -> bool:
    """Whether a Job that its queue holds back is over: should it be let go after all, its deadline has passed."""
    marked = {CANCELLED_ANNOTATION, EXPIRED_ANNOTATION} & set(job["metadata"].get("annotations", {}))
    return bool(job["spec"].get("suspend")) and (bool(marked) or queued.expired)


def condition(job: Object, kind: str) -> Object | None:
    """A Job's condition, if it holds."""
    conditions = job.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == kind and each["status"] == "True"), None)


def is_over(job: Object) -> bool:
    """Whether a Job has ended, however."""
    return (condition(job, "Complete") or condition(job, "Failed")) is not None


def is_sweep(job: Object) -> bool:
    """Whether several pods share the work of a Job."""
    return bool(job["spec"].get("completionMode") == "Indexed")


def overdue(pod: Object, now: datetime) -> bool:
    """Whether a pod should have been gone for a while: its node does not answer."""
    deleted = pod["metadata"].get("deletionTimestamp")
    if deleted is None:
        return False
    return (now - datetime.fromisoformat(deleted)).total_seconds() > OVERDUE_SECONDS


def started(pod: Object) -> bool:
    """Whether a pod's container runs, or ran."""
    state = container_status(pod).get("state", {})
    return "running" in state or "terminated" in state


def _under_way(living: Sequence[Object], trouble: tuple[str, ...], job: Object, *, cancelled: bool) -> Status:
    if living:
        running = [pod for pod in living if started(pod)] if is_sweep(job) else [*filter(started, living[-1:])]
        phase = Phase.RUNNING if running else Phase.PENDING
        words = _running_words(running) if running else _waiting_words(living[-1], trouble)
        return Status(phase=phase, words=words, problems=trouble, cancelled=cancelled)
    if job["spec"].get("suspend"):
        return Status(phase=Phase.PENDING, words="waiting for its queue", problems=trouble, cancelled=cancelled)
    words = trouble[-1] if trouble else "waiting for a pod"
    return Status(phase=Phase.PENDING, words=words, problems=trouble, cancelled=cancelled)


def _running_words(running: Sequence[Object]) -> str:
    return f"pod {running[0]['metadata']['name']} runs" if len(running) == 1 else f"{len(running)} pods run"


def _waiting_words(pod: Object, trouble: tuple[str, ...]) -> str:
    if trouble:
        return trouble[-1]
    assigned = pod["spec"].get("nodeName")
    return f"the pod is being prepared on {assigned}" if assigned else "the pod waits for a node"


def _ended(job: Object, pods: Sequence[Object], trouble: tuple[str, ...], *, cancelled: bool, vanished: bool) -> Status:
    failed = condition(job, "Failed")
    ends = [end for pod in reversed(pods) if (end := termination(pod)) is not None]
    bad = [end for end in ends if end.exit_code != 0] if failed is not None and is_sweep(job) else []
    last = next(iter([*bad, *ends]), None)
    if failed is not None and failed.get("reason") == "DeadlineExceeded" and (last is None or last.exit_code != 0):
        last = _past_deadline(job, pods, last, cancelled=cancelled)
    if last is None:
        said = failed.get("message", "") if failed else "the Job is complete"
        last = Termination(None, f"its pods are gone: {said}", "lost")
    return Status(
        phase=Phase.GONE if vanished else Phase.ENDED,
        exit_code=last.exit_code,
        words=last.words,
        problems=trouble,
        reference=last.reference,
        cancelled=cancelled,
    )


def _past_deadline(job: Object, pods: Sequence[Object], last: Termination | None, *, cancelled: bool) -> Termination:
    code = last.exit_code if last else None
    if cancelled:
        return Termination(code, "it was cancelled", "terminated")
    if any(map(started, pods)) or EXPIRED_ANNOTATION in job["metadata"].get("annotations", {}):
        return Termination(code, "the Job's deadline passed", "timed-out")
    words = job["metadata"].get("annotations", {}).get(NOT_STARTED_ANNOTATION)
    return Termination(code, words or "the Job's deadline passed before anything could start", "not-started")
