"""A run as a pod: its container, resources and environment, within Pod Security's level *restricted*.

The level: https://kubernetes.io/docs/concepts/security/pod-security-standards/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from nbstep.backends.arguments import arguments
from nbstep.backends.kubernetes.names import CONTAINER, MANAGED_BY, SCRATCH, WORK
from nbstep.backends.kubernetes.volumes import volumes
from nbstep.backends.protocol import Submission
from nbstep.profiles import Reference, Resources
from nbstep.profiles.kubernetes import Affinity, ResourceClaim, Spread, Toleration
from nbstep.profiles.quantities import written
from nbstep_runner.errors import UsageError

UNPRIVILEGED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
"""The security context of a container."""
SPARE_SECONDS: Final = 5
"""From the end of the runner's own grace period until the cluster kills it."""
LEAVING_SECONDS: Final = 5
"""Between a pod's leaving its Service and its end: what still sends it requests hears of that within seconds."""
LEAVING: Final = {"preStop": {"exec": {"command": ["sleep", str(LEAVING_SECONDS)]}}}
"""The lifecycle of a container that such a Service has."""


def pod_spec(submission: Submission) -> dict[str, Any]:
    """The ``PodSpec`` of a run."""
    options = submission.profile.kubernetes
    mounted = volumes(submission)
    spec = {
        "restartPolicy": "Never",
        "serviceAccountName": options.service_account,
        "automountServiceAccountToken": options.api_token,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": math.ceil(submission.spec.deadlines.grace) + SPARE_SECONDS,
        "securityContext": _pod_security(options.run_as_user, options.fs_group),
        "imagePullSecrets": [{"name": name} for name in options.pull_secrets],
        "nodeSelector": options.node_selector,
        "tolerations": [_toleration(each) for each in options.tolerations],
        "priorityClassName": options.priority_class,
        "runtimeClassName": options.runtime_class,
        "affinity": _node_affinity(options.affinity),
        "topologySpreadConstraints": [_spread(each) for each in options.spread],
        "hostUsers": False if options.user_namespace else None,
        "resourceClaims": [_claimed(name, claim) for name, claim in options.resource_claims.items()],
        "containers": [_container(submission, [volume.mount for volume in mounted])],
        "volumes": [volume.volume for volume in mounted],
    }
    return without_empty(spec)


def without_empty(values: dict[str, Any]) -> dict[str, Any]:
    """The mapping without what says nothing."""
    return {key: value for key, value in values.items() if value not in (None, [], {})}


def _container(submission: Submission, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    profile = submission.profile
    if not profile.image:
        raise UsageError("a cluster needs an image", hint="Name one with image=, or in the profile.")
    own = {"HOME": SCRATCH, "TMPDIR": SCRATCH, "NBSTEP_IMAGE": profile.image}
    container = {
        "name": CONTAINER,
        "image": profile.image,
        "imagePullPolicy": profile.kubernetes.pull_policy,
        "command": profile.kubernetes.command,
        "args": _arguments(submission),
        "workingDir": WORK,
        "env": environment({**own, **profile.env}),
        "resources": requested(profile.resources) | _devices(profile.kubernetes.resource_claims),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": dict(UNPRIVILEGED),
        "volumeMounts": mounts,
    }
    return without_empty(container)


def _arguments(submission: Submission) -> list[str]:
    """The runner's, whose share of a sweep is the only text that the cluster puts something into."""
    index = "$(JOB_COMPLETION_INDEX)"
    share = None if submission.workers is None else f"{index}/{submission.workers}"
    given = arguments(submission.spec, submission.spec_uri, share)
    return [each if each == share else literal(each) for each in given]


def literal(text: str) -> str:
    """A text of a container as it has to be written to arrive as it is: ``$(NAME)`` and ``$$`` are replaced.

    https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """
    return text.replace("$", "$$")


def environment(variables: Mapping[str, str | Reference]) -> list[dict[str, Any]]:
    """A container's variables: texts as they are, and references to Secrets and ConfigMaps."""
    return [
        {"name": name, "valueFrom": _reference(value)}
        if isinstance(value, Reference)
        else {"name": name, "value": literal(value)}
        for name, value in variables.items()
    ]


def _reference(value: Reference) -> dict[str, Any]:
    if value.secret is not None:
        return {"secretKeyRef": {"name": value.secret, "key": value.key}}
    return {"configMapKeyRef": {"name": value.config_map, "key": value.key}}


def requested(resources: Resources) -> dict[str, Any]:
    """Memory and disk are reserved and limited alike; CPU is reserved, and bounded only on request."""
    gpu = {resources.gpu_resource: str(resources.gpu)} if resources.gpu else {}
    both = without_empty({"memory": resources.memory, "ephemeral-storage": resources.disk})
    requests = _cpu(resources.cpu) | both
    limits = _cpu(resources.cpu_limit) | both | gpu
    return without_empty({"requests": requests, "limits": limits})


def _devices(claims: Mapping[str, ResourceClaim]) -> dict[str, Any]:
    used = [without_empty({"name": name, "request": claim.request}) for name, claim in claims.items()]
    return {"claims": used} if used else {}


def _claimed(name: str, claim: ResourceClaim) -> dict[str, Any]:
    return without_empty({"name": name, "resourceClaimTemplateName": claim.template, "resourceClaimName": claim.claim})


def _cpu(value: str | float | None) -> dict[str, str]:
    return {} if value is None else {"cpu": written(value)}


def _pod_security(user: int | None, group: int | None) -> dict[str, Any]:
    if user == 0:
        raise UsageError("a run does not run as root", hint="Name another user with kubernetes.run_as_user.")
    return without_empty(
        {"runAsNonRoot": True, "runAsUser": user, "fsGroup": group, "seccompProfile": {"type": "RuntimeDefault"}}
    )


def _node_affinity(rules: Sequence[Affinity]) -> dict[str, Any]:
    """The rules as an ``Affinity``: what is required holds together, each preference counts by itself."""
    required = [_expression(rule) for rule in rules if rule.weight is None]
    preferred = [
        {"weight": rule.weight, "preference": {"matchExpressions": [_expression(rule)]}}
        for rule in rules
        if rule.weight is not None
    ]
    node: dict[str, Any] = {}
    if required:
        terms = [{"matchExpressions": required}]
        node["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    if preferred:
        node["preferredDuringSchedulingIgnoredDuringExecution"] = preferred
    return {"nodeAffinity": node} if node else {}


def _expression(rule: Affinity) -> dict[str, Any]:
    return without_empty({"key": rule.key, "operator": rule.operator, "values": rule.values})


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "topologyKey": spread.topology,
        "maxSkew": spread.max_skew,
        "whenUnsatisfiable": "DoNotSchedule" if spread.required else "ScheduleAnyway",
        "labelSelector": {"matchLabels": spread.labels or MANAGED_BY},
    }


def _toleration(toleration: Toleration) -> dict[str, Any]:
    values = msgspec.to_builtins(toleration)
    values["tolerationSeconds"] = values.pop("seconds")
    return without_empty(values)
