"""What a cluster needs for a team's server: pure, whole, within Pod Security's level *restricted*."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from nbstep.backends.kubernetes.pod import LEAVING, LEAVING_SECONDS, UNPRIVILEGED, environment, requested
from nbstep.backends.kubernetes.text import as_yaml
from nbstep.backends.registry import backend_named
from nbstep.server.app import application
from nbstep.server.config import Config, Deployment
from nbstep.server.config_file import read_config
from nbstep.server.listening import STOP_SECONDS
from nbstep.server.team.prefix import checked_prefix
from nbstep.server.team.service import own_paths

EXAMPLE: Final = Path(__file__).with_name("example.yaml")
PORT: Final = 8080
SCRATCH: Final = "/tmp"  # noqa: S108 - the pod's own, an empty volume
CONFIG_FOLDER: Final = "/etc/nbstep/server"
CONFIG_FILE: Final = "server.yaml"
CHECKSUM: Final = "nbstep/config"
"""An annotation by which a changed configuration starts new pods."""
SPARE_SECONDS: Final = 15
CLUSTER_PATIENCE: Final = "20"
"""Seconds that a request waits for an API that does not answer, rather than the minutes that a person does."""
REVIEWER: Final = (
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
)
"""What it asks about callers."""
Object = dict[str, Any]


def manifests_of(file: Path | None) -> str:
    """All that a configuration needs, as YAML; that of the example if there is none.

    Raises:
        InputNotFoundError: There is no such file.
        BadInputError: It does not fit, or the server could not be shown at its ``url``.
    """
    source = file or EXAMPLE
    config = read_config(source)
    checked_prefix(config.url, own_paths(application(config)))
    return as_yaml(*manifests(config, source.read_text()))


def manifests(config: Config, text: str) -> list[Object]:
    """The objects, in the order in which they are made.

    Args:
        config: What the server is told.
        text: The same as it is written, which becomes a ConfigMap.
    """
    deployment = config.deployment or Deployment()
    made = _Maker(deployment)
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    reviews = config.access is not None and config.access.kubernetes is not None
    return [
        made.object("v1", "ServiceAccount", annotations=deployment.annotations),
        *(made.roles(REVIEWER) if reviews else ()),
        *(each for namespace, rules in _rights(config, deployment) for each in made.roles(rules, namespace)),
        made.object("v1", "ConfigMap", data={CONFIG_FILE: text}),
        made.object("networking.k8s.io/v1", "NetworkPolicy", spec=_network_policy(deployment)),
        made.object("policy/v1", "PodDisruptionBudget", spec={"maxUnavailable": 1, "selector": made.selector}),
        made.object("v1", "Service", spec={"selector": made.labels, "ports": ports}),
        made.object("apps/v1", "Deployment", spec=_deployment(made, config, text)),
    ]


class _Maker:
    """Makes objects of one name."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.labels = _labels(deployment)
        self.selector = {"matchLabels": self.labels}

    def object(self, api: str, kind: str, *, annotations: dict[str, str] | None = None, **parts: Any) -> Object:
        """One in the server's own namespace."""
        metadata = {"name": self.deployment.name, "namespace": self.deployment.namespace, "labels": self.labels}
        metadata |= {"annotations": annotations} if annotations else {}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **parts}

    def roles(self, rules: Sequence[Object], namespace: str | None = None) -> list[Object]:
        """A role with these rules for the server's account, and its binding; of the whole cluster if ``None``."""
        scope, where = ("Cluster", {}) if namespace is None else ("", {"namespace": namespace})
        name = f"{self.deployment.namespace}-{self.deployment.name}"  # which two servers do not share
        metadata = {"name": name, **where, "labels": self.labels}
        api, group = "rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
        account = {"kind": "ServiceAccount", "name": self.deployment.name, "namespace": self.deployment.namespace}
        role = {"apiGroup": group, "kind": f"{scope}Role", "name": name}
        return [
            {"apiVersion": api, "kind": f"{scope}Role", "metadata": metadata, "rules": [dict(rule) for rule in rules]},
            {
                "apiVersion": api,
                "kind": f"{scope}RoleBinding",
                "metadata": metadata,
                "roleRef": role,
                "subjects": [account],
            },
        ]


def _labels(deployment: Deployment) -> dict[str, str]:
    return {"app.kubernetes.io/name": "nbstep-server", "app.kubernetes.io/instance": deployment.name}


def _rights(config: Config, deployment: Deployment) -> list[tuple[str, list[Object]]]:
    """The namespaces where runs take place, and what their backends do in each."""
    found: dict[str, list[Object]] = {}
    for profile in (each for folder in config.folders.values() for each in config.profiles_of(folder).values()):
        backend: Any = backend_named(profile.on)
        if hasattr(backend, "rights"):
            namespace, rules = backend.rights(profile)
            known = found.setdefault(namespace or deployment.namespace, [])
            known += [rule for rule in rules if rule not in known]
    return sorted(found.items())


def _network_policy(deployment: Deployment) -> Object:
    """Callers reach the server's port; it reaches names, the cluster's API and stores, and no other port."""
    clients = {"matchLabels": deployment.clients} if deployment.clients else {}
    names = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return {
        "podSelector": {"matchLabels": _labels(deployment)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"namespaceSelector": clients}], "ports": [{"port": PORT, "protocol": "TCP"}]}],
        "egress": [
            {"to": [{"namespaceSelector": {}}], "ports": names},
            {"ports": [{"port": port, "protocol": "TCP"} for port in deployment.egress_ports]},
        ],
    }


def _deployment(made: _Maker, config: Config, text: str) -> Object:
    checksum = hashlib.sha256(text.encode()).hexdigest()
    metadata = {"labels": made.labels, "annotations": {CHECKSUM: checksum}}
    return {
        "replicas": made.deployment.replicas,
        "revisionHistoryLimit": 2,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "selector": made.selector,
        "template": {"metadata": metadata, "spec": _pod(made.deployment, config)},
    }


def _pod(deployment: Deployment, config: Config) -> Object:
    volumes, mounts = _mounted(deployment, config)
    own = {"HOME": SCRATCH, "TMPDIR": SCRATCH, "NBSTEP_CLUSTER_PATIENCE": CLUSTER_PATIENCE}
    container = {
        "name": "server",
        "image": deployment.image,
        "imagePullPolicy": deployment.pull_policy,
        "command": ["nbstep", "server"],
        "args": ["--config", f"{CONFIG_FOLDER}/{CONFIG_FILE}", "--host", "0.0.0.0", "--port", str(PORT)],  # noqa: S104 - the pod's own
        "env": environment({**own, **deployment.env}),
        "envFrom": [{"secretRef": {"name": name}} for name in deployment.env_from],
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": requested(deployment.resources),
        "startupProbe": _probe("/healthz", period=1, failures=60),
        "readinessProbe": _probe("/readyz", period=5, failures=1),
        "livenessProbe": _probe("/healthz", period=10, failures=6),
        "lifecycle": LEAVING,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": dict(UNPRIVILEGED),
        "volumeMounts": mounts,
    }
    return {
        "serviceAccountName": deployment.name,
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": LEAVING_SECONDS + STOP_SECONDS + SPARE_SECONDS,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "imagePullSecrets": [{"name": name} for name in deployment.pull_secrets],
        "containers": [container],
        "volumes": volumes,
    }


def _mounted(deployment: Deployment, config: Config) -> tuple[list[Object], list[Object]]:
    """The volumes of the pod, and where its container sees them."""
    volumes: list[Object] = [
        {"name": "config", "configMap": {"name": deployment.name}},
        {"name": "scratch", "emptyDir": {}},
    ]
    mounts: list[Object] = [
        {"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True},
        {"name": "scratch", "mountPath": SCRATCH},
    ]
    if tokens := config.access and config.access.tokens:
        volumes.append({"name": "tokens", "secret": {"secretName": f"{deployment.name}-tokens"}})
        mounts.append({"name": "tokens", "mountPath": str(PurePosixPath(tokens).parent), "readOnly": True})
    return volumes, mounts


def _probe(path: str, *, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
