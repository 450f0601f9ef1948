"""Runs that do not start: given up by the launcher that sees it, once the time that their Job names is over.

The cluster knows no such deadline: it has one for all of a Job, which counts the time of the run itself as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from nbstep.backends.kubernetes.api.cluster import Cluster
from nbstep.backends.kubernetes.diagnose import event_problems, problems, termination
from nbstep.backends.kubernetes.names import (
    EXPIRED_ANNOTATION,
    NOT_STARTED_ANNOTATION,
    START_ANNOTATION,
    JobName,
    Object,
)
from nbstep.backends.kubernetes.queue import JOB_UID_LABEL, Queued, held_back, queued
from nbstep.backends.kubernetes.state import condition, is_sweep, started
from nbstep.errors import ClusterDeniedError, RunNotFoundError


def give_up_late(api: Cluster, name: JobName, job: Object, pods: Sequence[Object]) -> None:
    """End a run whose newest pod should have started by now. Whoever may only read leaves it to others."""
    since = waiting_since(job, pods)
    limit = float(job["metadata"].get("annotations", {}).get(START_ANNOTATION, "inf"))
    if since is None or (api.now() - since).total_seconds() <= limit:
        return
    uid = (pods[-1] if pods else job)["metadata"]["uid"]
    reasons = [reason for pod in pods[-1:] for reason in problems(pod)]
    reasons = reasons or list(event_problems(api.events(name.namespace, uid)))
    if not pods and not reasons:
        return  # between two pods there is none for a moment; where none can be made, the cluster says why
    words = "; ".join([f"the pod had not started after {limit:g} s", *reasons[-1:]])
    with suppress(ClusterDeniedError, RunNotFoundError):
        end_job(api, name, NOT_STARTED_ANNOTATION, words)


def ask_queue(api: Cluster, name: JobName, job: Object, pods: Sequence[Object]) -> Queued:
    """What holds a Job back in its queue. One whose time there is used up is ended, which Kueue leaves to others."""
    if not held_back(job, pods):
        return Queued()
    workloads = api.workloads(name.namespace, f"{JOB_UID_LABEL}={job['metadata']['uid']}")
    told = queued(workloads[0]) if workloads else Queued()
    if told.expired:
        with suppress(ClusterDeniedError, RunNotFoundError):
            end_job(api, name, EXPIRED_ANNOTATION, "true")
    return told


def end_job(api: Cluster, name: JobName, annotation: str, value: str) -> None:
    """Let a Job's deadline pass, and say why: its controller ends the pods, with their grace period; the Job stays.

    One that waits for its queue is let go for that: with a deadline of no seconds no pod is made.
    """
    values = {
        f"/metadata/annotations/{annotation.replace('/', '~1')}": value,
        "/spec/activeDeadlineSeconds": 0,
        "/spec/suspend": False,
    }
    operations = [{"op": "add", "path": path, "value": value} for path, value in values.items()]
    api.patch_job(name.namespace, name.name, operations)


def waiting_since(job: Object, pods: Sequence[Object]) -> datetime | None:
    """Since when the newest pod has not started, or none has been made, by the cluster's clock.

    ``None`` if nothing has to start.
    """
    over = condition(job, "Failed") or condition(job, "Complete")
    if over or job["spec"].get("suspend") or NOT_STARTED_ANNOTATION in job["metadata"].get("annotations", {}):
        return None
    if is_sweep(job) and any(map(started, pods)):
        return None  # the others go on with less, or wait for a place
    if pods and (started(pods[-1]) or termination(pods[-1]) is not None or "deletionTimestamp" in pods[-1]["metadata"]):
        return None
    since = pods[-1]["metadata"]["creationTimestamp"] if pods else job.get("status", {}).get("startTime")
    return None if since is None else datetime.fromisoformat(since)
