"""An endpoint as a Deployment, a Service and a PodDisruptionBudget: pure, whole, within *restricted*."""

from __future__ import annotations

import math
from typing import Any, Final

from nbstep.backends.kubernetes.names import MANAGED_BY
from nbstep.backends.kubernetes.pod import LEAVING, LEAVING_SECONDS, SPARE_SECONDS, pod_spec
from nbstep.endpoints.host import IN_CONTAINER
from nbstep.endpoints.plan import ENDPOINT_LABEL, REVISION_LABEL, Deployment

PORT: Final = 80
PROBED: Final = {"port": "http", "scheme": "HTTP"}
START_SECONDS: Final = 3600
"""How long the notebook may take until its endpoint answers, before the cluster starts it anew."""
KINDS: Final = ("Deployment", "Service", "PodDisruptionBudget")


def manifests(deployment: Deployment, namespace: str) -> list[dict[str, Any]]:
    """All that the endpoint is in a cluster, in the order in which it is made.

    Raises:
        UsageError: The profile lacks an image.
    """
    labels = {**MANAGED_BY, ENDPOINT_LABEL: deployment.name}
    metadata = {"name": deployment.name, "namespace": namespace, "labels": labels}
    chosen = {ENDPOINT_LABEL: deployment.name}
    service = {
        "type": deployment.exposure.service,
        "selector": chosen,
        "ports": [{"name": "http", "port": deployment.exposure.port or PORT, "targetPort": "http"}],
    }
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": chosen}, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    template = {"metadata": {"labels": labels | {REVISION_LABEL: deployment.revision}}, "spec": _pod(deployment)}
    spec = {
        "replicas": deployment.exposure.replicas,
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": START_SECONDS,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "selector": {"matchLabels": chosen},
        "template": template,
    }
    annotated = {**metadata, "annotations": deployment.submission.profile.kubernetes.annotations}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": annotated, "spec": service},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": budget},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
    ]


def _pod(deployment: Deployment) -> dict[str, Any]:
    """The pod of a run, which starts again whatever its end, leaves its Service first, and says how it is."""
    spec = pod_spec(deployment.submission)
    grace = math.ceil(deployment.submission.spec.deadlines.grace) + SPARE_SECONDS + LEAVING_SECONDS
    container = spec["containers"][0] | {
        "ports": [{"name": "http", "containerPort": IN_CONTAINER[1]}],
        "startupProbe": _probe("live", period=2, failures=START_SECONDS // 2),
        "readinessProbe": _probe("ready", period=2, failures=1),
        "livenessProbe": _probe("live", period=10, failures=3),
        "lifecycle": LEAVING,
    }
    return spec | {"restartPolicy": "Always", "terminationGracePeriodSeconds": grace, "containers": [container]}


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": f"/v2/health/{path}", **PROBED},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
