"""What a pod has mounted: scratch, claims, secrets, configuration. There is no way to name a folder of the node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from nbstep.backends.kubernetes.names import SCRATCH, WORK
from nbstep.backends.protocol import Submission
from nbstep.profiles.kubernetes import KubernetesOptions, Mount
from nbstep.profiles.volume_claims import ROOT
from nbstep_runner.errors import BadInputError

TAKEN: Final = ("/proc", "/sys", "/dev", "/etc", "/usr", "/bin", "/lib", SCRATCH, WORK, ROOT)
GROUP_READABLE: Final = 0o440
ALL_READABLE: Final = 0o444


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the pod, and where its container sees it."""

    name: str
    source: Mapping[str, Any]
    path: str
    read_only: bool = False

    @property
    def volume(self) -> dict[str, Any]:
        """Its entry in the pod's ``volumes``."""
        return {"name": self.name, **self.source}

    @property
    def mount(self) -> dict[str, Any]:
        """Its entry in the container's ``volumeMounts``."""
        return {"name": self.name, "mountPath": self.path, **({"readOnly": True} if self.read_only else {})}


def volumes(submission: Submission) -> tuple[Volume, ...]:
    """Every volume of a run's pod."""
    options, resources = submission.profile.kubernetes, submission.profile.resources
    size = {"sizeLimit": resources.disk} if resources.disk else {}
    own_work = any(volume.path.rstrip("/") == WORK for volume in options.volumes.values())
    return (
        *(() if own_work else (Volume("work", {"emptyDir": size}, WORK),)),
        Volume("tmp", {"emptyDir": dict(size)}, SCRATCH),
        *_shared_memory(resources.shared_memory),
        *_claims(submission),
        *_mounted(options),
        *_made(options),
        *_images(options),
    )


def _shared_memory(size: str | None) -> Iterator[Volume]:
    if size:
        yield Volume("shm", {"emptyDir": {"medium": "Memory", "sizeLimit": size}}, "/dev/shm")  # noqa: S108 - a mount


def _claims(submission: Submission) -> Iterator[Volume]:
    known = submission.profile.kubernetes.claims
    for number, name in enumerate(submission.claims):
        read_only = name in known and known[name].read_only
        claim = {"claimName": name, **({"readOnly": True} if read_only else {})}
        yield Volume(f"claim-{number}", {"persistentVolumeClaim": claim}, f"{ROOT}/{name}", read_only)


def _mounted(options: KubernetesOptions) -> Iterator[Volume]:
    mode = ALL_READABLE if options.fs_group is None else GROUP_READABLE
    for number, (name, mount) in enumerate(options.secrets.items()):
        source = {"secretName": name, "defaultMode": mode, **_items(mount)}
        yield Volume(f"secret-{number}", {"secret": source}, _checked(mount.path), read_only=True)
    for number, (name, mount) in enumerate(options.config_maps.items()):
        source = {"name": name, "defaultMode": mode, **_items(mount)}
        yield Volume(f"config-{number}", {"configMap": source}, _checked(mount.path), read_only=True)


def _made(options: KubernetesOptions) -> Iterator[Volume]:
    for name, volume in options.volumes.items():
        spec: dict[str, Any] = {"accessModes": [volume.access], "resources": {"requests": {"storage": volume.size}}}
        if volume.storage_class is not None:
            spec["storageClassName"] = volume.storage_class
        path = WORK if volume.path.rstrip("/") == WORK else _checked(volume.path)
        yield Volume(f"volume-{name}", {"ephemeral": {"volumeClaimTemplate": {"spec": spec}}}, path)


def _images(options: KubernetesOptions) -> Iterator[Volume]:
    for name, volume in options.image_volumes.items():
        source = {"reference": volume.image} | ({"pullPolicy": volume.pull_policy} if volume.pull_policy else {})
        yield Volume(f"image-{name}", {"image": source}, _checked(volume.path), read_only=True)


def _items(mount: Mount) -> dict[str, Any]:
    items = [{"key": key, "path": path} for key, path in mount.items.items()]
    return {"items": items} if items else {}


def _checked(path: str) -> str:
    """A place to mount at, once it is known to hide nothing that the run needs."""
    plain = PurePosixPath(path)
    taken = any(plain.is_relative_to(folder) or PurePosixPath(folder).is_relative_to(plain) for folder in TAKEN)
    if not plain.is_absolute() or ".." in plain.parts or taken:
        raise BadInputError(
            f"nothing can be mounted at {path!r}", hint="Choose a folder of its own, such as /secrets/sftp."
        )
    return path
