"""What only a cluster needs to know, as closed data: there is no way to write a host path or a privilege."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

import msgspec

from nbstep.profiles.schema import ClosedSchema
from nbstep_runner.contract import StorageOptions

DAY = 24 * 3600
Seconds = Annotated[int, msgspec.Meta(ge=1)]


class Toleration(ClosedSchema, frozen=True):
    """A taint that the pod puts up with."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    seconds: int | None = None


class Claim(ClosedSchema, frozen=True):
    """A persistent volume claim, found in the pod at ``/pvc/NAME`` and in URIs as ``pvc://NAME/…``.

    Attributes:
        here: Where this machine sees the same files, such as an NFS export; needed if runs are kept on the claim.
    """

    read_only: bool = False
    here: str | None = None


class Mount(ClosedSchema, frozen=True):
    """A Secret or ConfigMap as files.

    Attributes:
        path: The folder in the pod.
        items: Keys and the file names that they get; all of them under their own names if empty.
    """

    path: str
    items: dict[str, str] = msgspec.field(default_factory=dict)


class KubernetesOptions(ClosedSchema, frozen=True):
    """The part of a profile that only clusters read.

    Attributes:
        command: What the image's runner is called by.
        context: Of the kubeconfig; its current one if ``None``.
        namespace: The context's own if ``None``.
        queue: The Kueue LocalQueue that admits the run.
        ttl_seconds: How long the Job stays after its end.
        deadline_seconds: How long all attempts of the Job may take together, waiting included.
        start_seconds: How long a pod may take to start, as launchers see it; time in a queue does not count. Without
            bound if ``None``.
        run_as_user: A user of the image that is not root; the image's own if ``None``.
        fs_group: The group that mounted volumes belong to.
        api_token: Give the pod its service account's token.
        storage: Options for stores that differ in the pod, such as the mounted ``known_hosts``.
    """

    command: list[str] = msgspec.field(default_factory=lambda: ["nbstep-runner"])
    context: str | None = None
    namespace: str | None = None
    service_account: str | None = None
    api_token: bool = False
    pull_secrets: list[str] = msgspec.field(default_factory=list)
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    tolerations: list[Toleration] = msgspec.field(default_factory=list)
    priority_class: str | None = None
    runtime_class: str | None = None
    claims: dict[str, Claim] = msgspec.field(default_factory=dict)
    secrets: dict[str, Mount] = msgspec.field(default_factory=dict)
    config_maps: dict[str, Mount] = msgspec.field(default_factory=dict)
    queue: str | None = None
    ttl_seconds: Annotated[int, msgspec.Meta(ge=0)] = DAY
    deadline_seconds: Seconds = 7 * DAY
    start_seconds: Seconds | None = None
    run_as_user: int | None = None
    fs_group: int | None = None
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    storage: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ``storage``, which is a part of another type: what it does not name is as it is elsewhere."""
        known = [field.name for field in fields(StorageOptions)]
        if strangers := sorted(set(self.storage) - set(known)):
            raise ValueError(f"there is no field storage.{strangers[0]}; there are {', '.join(known)}")
        msgspec.convert(self.storage, StorageOptions)
