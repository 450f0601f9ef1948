"""Endpoints as data: how one is reached, and all that a step which starts one carries in its component."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from nbstep.profiles.profile import Profile
from nbstep.profiles.schema import ClosedSchema

CLUSTER_VARIABLE: Final = "NBSTEP_CLUSTER"
"""What the cluster of a pod is called by those outside of it: the name of their context."""
URL: Final = "url"
"""The only output of a step that starts an endpoint."""


class Exposure(ClosedSchema, frozen=True):
    """How an endpoint is reached.

    Attributes:
        port: On this machine, as a process or a container, where 0 takes a free one; of a cluster's Service, where 0
            is 80.
        service: The kind of the cluster's Service.
        replicas: Pods of a cluster.
    """

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    service: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    replicas: Annotated[int, msgspec.Meta(ge=1)] = 1


class ServedStep(ClosedSchema, frozen=True):
    """The endpoint that a step starts.

    Attributes:
        name: The endpoint's.
        profile: Where and with what it runs.
        limits: Of its requests, by their names.
        timeout: Seconds until it has to answer.
    """

    name: str
    profile: Profile
    exposure: Exposure = Exposure()
    limits: dict[str, float] = msgspec.field(default_factory=dict)
    timeout: float = 600.0
