"""What only a cluster needs to know, as closed data: there is no way to write a host path or a privilege."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

import msgspec

from nbstep.profiles.quantities import quantity
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


class VolumeClaim(ClosedSchema, frozen=True):
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


class Affinity(ClosedSchema, frozen=True):
    """What a node's labels have to be, or should be.

    Attributes:
        key: The label's.
        values: What ``In`` and ``NotIn`` compare with; one number for ``Gt`` and ``Lt``; none for the others.
        weight: How much a node is preferred that fits, beside others that are; required if ``None``.
    """

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = "In"
    values: list[str] = msgspec.field(default_factory=list)
    weight: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None


class Spread(ClosedSchema, frozen=True):
    """How runs share out the nodes, or groups of nodes.

    Attributes:
        topology: The label of nodes whose values are the groups.
        max_skew: By how many pods groups may differ.
        required: Wait for a place that keeps to it, rather than take another.
        labels: Which pods are counted; those of all of nbstep's runs if empty.
    """

    topology: str = "kubernetes.io/hostname"
    max_skew: Annotated[int, msgspec.Meta(ge=1)] = 1
    required: bool = False
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class Volume(ClosedSchema, frozen=True):
    """A volume claim that is made for the pod and goes with it.

    Attributes:
        path: The folder in the pod; ``/work`` is the working directory itself.
        storage_class: The cluster's default one if ``None``; ``""`` asks for a volume that is there already.
    """

    path: str
    size: str
    storage_class: str | None = None
    access: Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"] = "ReadWriteOnce"

    def __post_init__(self) -> None:
        quantity(self.size, f"the volume at {self.path}")


class ImageVolume(ClosedSchema, frozen=True):
    """The files of an image, or of another OCI artifact, in a folder that can only be read.

    Attributes:
        path: The folder in the pod.
    """

    image: str
    path: str
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None


class ResourceClaim(ClosedSchema, frozen=True):
    """Devices of a driver for dynamic resource allocation.

    Attributes:
        template: The ``ResourceClaimTemplate`` of which the pod gets a claim of its own.
        claim: A ``ResourceClaim`` that is there already.
        request: The only request of the claim that the run uses; all of them if ``None``.
    """

    template: str | None = None
    claim: str | None = None
    request: str | None = None

    def __post_init__(self) -> None:
        if (self.template is None) == (self.claim is None):
            raise ValueError("name either a template or a claim")


class KubernetesOptions(ClosedSchema, frozen=True):
    """The part of a profile that only clusters read.

    Attributes:
        command: What the image's runner is called by.
        context: Of the kubeconfig; its current one if ``None``.
        namespace: The context's own if ``None``.
        queue: The Kueue LocalQueue that admits the run.
        queue_priority: The Kueue ``WorkloadPriorityClass`` of the run among those that wait.
        ttl_seconds: How long the Job stays after its end.
        deadline_seconds: How long all attempts of the Job may take together, waiting included; in a queue, from its
            last start, and all the time that it was admitted.
        start_seconds: How long a pod may take to start, as launchers see it; time in a queue does not count. Without
            bound if ``None``.
        run_as_user: A user of the image that is not root; the image's own if ``None``.
        fs_group: The group that mounted volumes belong to.
        api_token: Give the pod its service account's token.
        storage: Options for stores that differ in the pod, such as the mounted ``known_hosts``.
        volumes: Claims that are made for the run, by a name of their own.
        image_volumes: Images as folders, by a name of their own: models and data without a rebuild.
        user_namespace: Let the pod's users be others than the node's.
        resource_claims: Devices, by a name of their own.
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
    affinity: list[Affinity] = msgspec.field(default_factory=list)
    spread: list[Spread] = msgspec.field(default_factory=list)
    user_namespace: bool = False
    claims: dict[str, VolumeClaim] = msgspec.field(default_factory=dict)
    secrets: dict[str, Mount] = msgspec.field(default_factory=dict)
    config_maps: dict[str, Mount] = msgspec.field(default_factory=dict)
    volumes: dict[str, Volume] = msgspec.field(default_factory=dict)
    image_volumes: dict[str, ImageVolume] = msgspec.field(default_factory=dict)
    resource_claims: dict[str, ResourceClaim] = msgspec.field(default_factory=dict)
    queue: str | None = None
    queue_priority: str | None = None
    ttl_seconds: Annotated[int, msgspec.Meta(ge=0)] = DAY
    deadline_seconds: Seconds = 7 * DAY
    start_seconds: Seconds | None = None
    run_as_user: int | None = None
    fs_group: int | None = None
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    storage: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ``storage``, which is a part of another type: what it does not name is as it is elsewhere."""
        if self.queue_priority and not self.queue:
            raise ValueError("queue_priority needs a queue")
        known = [field.name for field in fields(StorageOptions)]
        if strangers := sorted(set(self.storage) - set(known)):
            raise ValueError(f"there is no field storage.{strangers[0]}; there are {', '.join(known)}")
        msgspec.convert(self.storage, StorageOptions)
