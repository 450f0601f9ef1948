"""How a team's server runs on a cluster, as data."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from nbstep.profiles import Reference, Resources
from nbstep.profiles.schema import ClosedSchema

IMAGE = "nbstep-server:0.1.0"
Label = Annotated[str, msgspec.Meta(pattern=r"^[a-z]([a-z0-9-]{0,43}[a-z0-9])?$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Deployment(ClosedSchema, frozen=True):
    """What a manifest is made of.

    Attributes:
        name: Of all its objects.
        namespace: The server's own.
        image: One with the extras ``web`` and ``kubernetes``, such as the target ``server`` of ``images/Dockerfile``.
        env: The environment: values, or references to Secrets and ConfigMaps, such as the keys of a store.
        annotations: Of the service account, by which clouds give it rights to stores.
        clients: The labels of the namespaces that its callers' pods are in; all if empty.
        egress_ports: The ports that it may connect to: of the cluster's API, and of stores.
        env_from: Secrets whose every key is a variable.
    """

    name: Label = "nbstep"
    namespace: Label = "nbstep"
    image: str = IMAGE
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    replicas: Annotated[int, msgspec.Meta(ge=1)] = 2
    resources: Resources = Resources(cpu="200m", memory="1Gi", disk="4Gi")
    env: dict[str, str | Reference] = msgspec.field(default_factory=dict)
    env_from: tuple[str, ...] = ()
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    clients: dict[str, str] = msgspec.field(default_factory=dict)
    egress_ports: tuple[Port, ...] = (443, 6443)
