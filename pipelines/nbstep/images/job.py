"""A build as a Job of a cluster: rootless BuildKit, with the context in a ConfigMap beside it.

BuildKit makes namespaces of its own, which Pod Security's levels *baseline* and *restricted* do not allow: the
namespace of builds has to be another one than that of runs. https://github.com/moby/buildkit describes the flags.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

from nbstep.images.plan import BuildPlan
from nbstep.profiles.kubernetes import DAY
from nbstep_runner.errors import UsageError

BUILDKIT: Final = "moby/buildkit:v0.23.2-rootless"
LIMIT: Final = 900_000
"""A ConfigMap holds a mebibyte, encoded as it travels."""
CONTEXT: Final = "/context"
SECRETS: Final = "/build-secrets"
DOCKER_CONFIG: Final = "/home/user/.docker"
UID: Final = 1000


def manifests(
    plan: BuildPlan, *, namespace: str | None, registry_secret: str | None, build_secret: str | None
) -> list[dict[str, Any]]:
    """The ConfigMap and the Job that build and push an image.

    Args:
        plan: The image.
        namespace: Of both; the context's own if ``None``.
        registry_secret: A Secret of type ``kubernetes.io/dockerconfigjson``, to push with.
        build_secret: A Secret whose keys are the build's secrets, such as ``pip.conf``.

    Raises:
        UsageError: The context is too large for a ConfigMap.
    """
    size = sum(each.size for each in plan.entries) + len(plan.dockerfile)
    if size * 4 // 3 > LIMIT:
        raise UsageError(
            f"the context has {size:,} bytes, more than a ConfigMap holds",
            hint="Leave large files out: submit them with the run, or let the notebook read them from a bucket.",
        )
    name = f"nbstep-build-{plan.digest[:12]}"
    metadata = {"name": name, "labels": {"app.kubernetes.io/managed-by": "nbstep"}} | (
        {"namespace": namespace} if namespace else {}
    )
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": _data(plan)},
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {
                "backoffLimit": 1,
                "ttlSecondsAfterFinished": DAY,
                "template": {"spec": _pod(plan, name, registry_secret, build_secret)},
            },
        },
    ]


def _data(plan: BuildPlan) -> dict[str, str]:
    files = {"dockerfile": plan.dockerfile.encode()}
    files |= {f"file-{index}": each.read() for index, each in enumerate(plan.entries)}
    return {key: base64.b64encode(data).decode() for key, data in files.items()}


def _pod(plan: BuildPlan, name: str, registry_secret: str | None, build_secret: str | None) -> dict[str, Any]:
    volumes: list[dict[str, Any]] = [
        {"name": "context", "configMap": {"name": name, "defaultMode": 0o755}},
        {"name": "state", "emptyDir": {}},
    ]
    mounts: list[dict[str, Any]] = [
        # one by one: a whole ConfigMap comes as links, which no build context may hold
        *_mounted(plan),
        {"name": "state", "mountPath": "/home/user/.local/share/buildkit"},
    ]
    if registry_secret:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        volumes.append({"name": "registry", "secret": {"secretName": registry_secret, "items": items}})
        mounts.append({"name": "registry", "mountPath": DOCKER_CONFIG, "readOnly": True})
    if build_secret:
        volumes.append({"name": "secrets", "secret": {"secretName": build_secret}})
        mounts.append({"name": "secrets", "mountPath": SECRETS, "readOnly": True})
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsUser": UID, "runAsGroup": UID, "fsGroup": UID, "runAsNonRoot": True},
        "containers": [
            {
                "name": "build",
                "image": BUILDKIT,
                "command": ["buildctl-daemonless.sh"],
                "args": _arguments(plan, secrets=bool(build_secret)),
                "env": [
                    {"name": "BUILDKITD_FLAGS", "value": "--oci-worker-no-process-sandbox"},
                    {"name": "DOCKER_CONFIG", "value": DOCKER_CONFIG},
                ],
                "securityContext": {
                    "seccompProfile": {"type": "Unconfined"},
                    "appArmorProfile": {"type": "Unconfined"},
                },
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }


def _mounted(plan: BuildPlan) -> list[dict[str, Any]]:
    keys = {"dockerfile": "Dockerfile"} | {f"file-{index}": each.path for index, each in enumerate(plan.entries)}
    return [
        {"name": "context", "mountPath": f"{CONTEXT}/{path}", "subPath": key, "readOnly": True}
        for key, path in keys.items()
    ]


def _arguments(plan: BuildPlan, *, secrets: bool) -> list[str]:
    platform = [f"--opt=platform={plan.platform}"] if plan.platform else []
    names = ("pip.conf", "ca.pem") if secrets and not plan.secrets else tuple(plan.secrets) if secrets else ()
    return [
        "build",
        "--frontend=dockerfile.v0",
        f"--local=context={CONTEXT}",
        f"--local=dockerfile={CONTEXT}",
        *platform,
        *(f"--secret=id={each},src={Path(SECRETS) / each}" for each in names),
        "--opt=attest:provenance=mode=max",
        "--opt=attest:sbom=",
        f"--opt=label:nbstep.inputs=sha256:{plan.digest}",
        f"--output=type=image,name={plan.image},push=true",
    ]
