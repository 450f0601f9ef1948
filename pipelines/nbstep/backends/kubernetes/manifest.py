"""A run as a Job, and when that starts it again: pure, whole, the same for the same submission."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import msgspec

from nbstep.backends.kubernetes.names import (
    CONTAINER,
    MANAGED_BY,
    MIN_PARALLELISM_ANNOTATION,
    QUEUE_LABEL,
    QUEUE_PRIORITY_LABEL,
    QUEUE_SECONDS_LABEL,
    RUN_ANNOTATION,
    RUN_LABEL,
    START_ANNOTATION,
)
from nbstep.backends.kubernetes.pod import pod_spec, without_empty
from nbstep.backends.protocol import Located, Submission
from nbstep.profiles.kubernetes import KubernetesOptions
from nbstep_runner.errors import BY_CODE, BadInputError, Retry, TerminatedError, UsageError
from nbstep_runner.stores import redact

QUEUE_SPARE_SECONDS: Final = 30
"""By so much Kueue's limit is longer than the Job's own deadline, which comes first in a run that is admitted once."""
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_KEY: Final = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_VALUE: Final = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)


def job(submission: Submission, namespace: str) -> dict[str, Any]:
    """The manifest of a run's Job, named after the run: of two attempts to create it one is too many, and harmless.

    Raises:
        UsageError: The profile lacks an image, or an URI holds credentials.
        BadInputError: Something would be mounted where it must not be.
    """
    spec, options = submission.spec, submission.profile.kubernetes
    for uri in (submission.spec_uri, spec.output_uri):
        if redact(uri) != uri:
            raise UsageError(
                f"credentials do not belong into a URI: {redact(uri)}",
                hint="Mount them from a Secret, or use the service account.",
            )
    labels = held_labels(submission.profile.labels) | MANAGED_BY | {RUN_LABEL: spec.run_id}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": spec.run_id,
            "namespace": namespace,
            "labels": labels | _queued(options),
            "annotations": {
                **options.annotations,
                RUN_ANNOTATION: _where(submission),
                **({START_ANNOTATION: str(options.start_seconds)} if options.start_seconds else {}),
                **({MIN_PARALLELISM_ANNOTATION: "1"} if options.queue and submission.workers else {}),
            },
        },
        "spec": without_empty(
            {
                "suspend": True if options.queue else None,  # Kueue lets it go when its turn comes
                **_work(submission),
                "activeDeadlineSeconds": options.deadline_seconds,
                "ttlSecondsAfterFinished": options.ttl_seconds,
                "podReplacementPolicy": "Failed",  # never two pods of one run at once
                "template": {"metadata": {"labels": labels}, "spec": pod_spec(submission)},
            }
        ),
    }


def _work(submission: Submission) -> dict[str, Any]:
    """How many pods there are, and when one is started again: of a sweep each by itself, so that the others go on."""
    retries, workers = submission.profile.retries, submission.workers
    if workers is None:
        policy = STATE_FAILURE_POLICY if submission.spec.state else FAILURE_POLICY
        return {"parallelism": 1, "completions": 1, "backoffLimit": retries, "podFailurePolicy": policy}
    return {
        "completionMode": "Indexed",
        "parallelism": workers,
        "completions": workers,
        "backoffLimitPerIndex": retries,
        "maxFailedIndexes": workers,
        "podFailurePolicy": SWEEP_FAILURE_POLICY,
    }


def held_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Those that a cluster can hold; free text is in the record alone."""
    return {key: value for key, value in labels.items() if _KEY.fullmatch(key) and _VALUE.fullmatch(value)}


def _queued(options: KubernetesOptions) -> dict[str, str]:
    """What Kueue reads. A Job's own deadline begins anew whenever it is let go: Kueue's counts all of the time."""
    if not options.queue:
        return {}
    priority = {QUEUE_PRIORITY_LABEL: options.queue_priority} if options.queue_priority else {}
    seconds = options.deadline_seconds + QUEUE_SPARE_SECONDS
    return {QUEUE_LABEL: options.queue, QUEUE_SECONDS_LABEL: str(seconds), **priority}


def _where(submission: Submission) -> str:
    """What :func:`located` reads back."""
    where = Located(
        run_id=submission.spec.run_id,
        spec_uri=submission.spec_uri,
        output_uri=submission.spec.output_uri,
        storage=submission.profile.storage,
    )
    return msgspec.json.encode(asdict(where)).decode()


def located(manifest: dict[str, Any]) -> Located:
    """Where the objects of a Job's run lie.

    Raises:
        BadInputError: The Job is not a run's.
    """
    text = manifest["metadata"].get("annotations", {}).get(RUN_ANNOTATION)
    if text is None:
        raise BadInputError(
            f"the Job {manifest['metadata']['name']} is not a run of nbstep", hint="List the runs with: nbstep list."
        )
    return msgspec.json.decode(text, type=Located)


def permanent_codes() -> list[int]:
    """The exit codes of failures that no retry can mend."""
    return sorted(code for code, kind in BY_CODE.items() if kind.retry is Retry.NEVER)


def _failure_policy(permanent: str, *, terminated: str | None = None) -> dict[str, Any]:
    codes = {"containerName": CONTAINER, "operator": "In", "values": permanent_codes()}
    stopped = [int(TerminatedError.exit_code)]
    return {
        "rules": [
            # A node that is drained or preempted is no failure of the run: it does not count.
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": permanent, "onExitCodes": codes},
            *([{"action": terminated, "onExitCodes": codes | {"values": stopped}}] if terminated else []),
        ]
    }


FAILURE_POLICY: Final[dict[str, Any]] = _failure_policy("FailJob")
STATE_FAILURE_POLICY: Final[dict[str, Any]] = _failure_policy("FailJob", terminated="Ignore")
"""A run that keeps its state goes on after any SIGTERM, whoever sent it: that costs little, and no retry."""
SWEEP_FAILURE_POLICY: Final[dict[str, Any]] = _failure_policy("FailIndex")
"""A pod of a sweep whose runs fail has not failed; one that cannot take part is not started again, and others go on."""
