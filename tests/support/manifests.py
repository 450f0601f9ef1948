"""What Kubernetes itself says of a manifest: what Pod Security forbids in it, and which of its fields the API knows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kubernetes import client

TEXTS = ["y", "N", "on", "~", "null", "1e3", "-1E+5", ".5", "1_000", "0o17", "0x1F", "012", "1:30", "2026-01-01", " a"]
TEXTS += ["", "a: b", "two\nlines\n", "two\nlines", "#", "'", '"', "é", "\x85", "100m", "=", "<<", "- a", "{a}", "\t"]
"""What some reader of YAML takes for something else than text."""
RESTRICTED_VOLUMES = {"configMap", "emptyDir", "ephemeral", "persistentVolumeClaim", "secret"}


def violations(spec: dict[str, Any]) -> list[str]:
    """What level restricted (https://kubernetes.io/docs/concepts/security/pod-security-standards/) forbids in a pod."""
    found = [
        f"{name} is set" for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace") if spec.get(name)
    ]
    found += [f"volume {each}" for each in spec["volumes"] if not RESTRICTED_VOLUMES & set(each)]
    pod = spec["securityContext"]
    if pod.get("runAsNonRoot") is not True or pod.get("runAsUser") == 0:
        found.append("may run as root")
    if pod.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        found.append("no seccomp profile")
    if pod.get("sysctls") or pod.get("seLinuxOptions"):
        found.append("sysctls or SELinux")
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        security = container["securityContext"]
        if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
            found.append("may gain privileges")
        if security.get("capabilities", {}).get("drop") != ["ALL"] or security.get("capabilities", {}).get("add"):
            found.append("capabilities")
        if security.get("readOnlyRootFilesystem") is not True:
            found.append("its root can be written")
        if any(port.get("hostPort") for port in container.get("ports", [])):
            found.append("host port")
    return found


def known_to_kubernetes(manifest: dict[str, Any], kind: str = "V1Job") -> Any:
    """What is left of a manifest in the types that the client is generated with, from the API's own OpenAPI schema.

    Fields that the API does not know are gone, and missing or impossible ones raise.
    """
    api = client.ApiClient()
    return api.sanitize_for_serialization(api.deserialize(_Body(json.dumps(manifest)), kind))


@dataclass
class _Body:
    data: str
