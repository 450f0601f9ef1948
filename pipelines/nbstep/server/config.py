"""What a server is told of its world, as data: folders, places of notebooks, profiles, limits, callers, its cluster."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

import msgspec

from nbstep.profiles import Profile, Reference, Resources, overlaid
from nbstep.profiles.schema import ClosedSchema
from nbstep.profiles.service import Name
from nbstep_runner.contract import StorageOptions

Positive = Annotated[int, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
IMAGE = "nbstep-server:0.1.0"
Label = Annotated[str, msgspec.Meta(pattern=r"^[a-z]([a-z0-9-]{0,43}[a-z0-9])?$")]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Folder(ClosedSchema, frozen=True):
    """A folder of runs.

    Attributes:
        uri: Where it is, as this server reaches it: a URI or an absolute path.
        profiles: The names of those that runs may be submitted with; none makes it a folder to read.
        storage: How its store is reached, by this server and, unless a profile says otherwise, by its runs.
        namespace: Of a cluster, where its runs take place. Whoever may create Jobs there may submit here, and whoever
            may get them may read, as far as the cluster knows the caller.
        readers: Who may read besides: names of callers, and ``group:NAME``.
        submitters: Who may submit besides.
    """

    uri: str
    namespace: Name | None = None
    readers: tuple[str, ...] = ()
    submitters: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    storage: StorageOptions = msgspec.field(default_factory=StorageOptions)


class Limits(ClosedSchema, frozen=True):
    """What one request may cost.

    Attributes:
        body_bytes: Of a request without a file.
        upload_bytes: Of a request with a notebook.
        object_bytes: Of an object of a run that is sent.
        records: How many records are read for one page of a list.
        streams: How many event streams are open at once.
        stalled_seconds: How long an answer waits for a reader that takes nothing.
        stream_seconds: After so long a stream ends, and its client comes again: what it may do is asked anew.
        request_seconds: How long a team's server may take until it answers.
        requests_per_minute: Of one caller of a team's server.
        submissions_per_minute: Of these, how many may start, cancel or rerun something.
        connections: How many a team's server holds at once.
    """

    body_bytes: Positive = 2**20
    upload_bytes: Positive = 2**26
    object_bytes: Positive = 2**28
    records: Positive = 2000
    streams: Positive = 200
    stalled_seconds: Seconds = 30.0
    stream_seconds: Seconds = 1800.0
    request_seconds: Seconds = 150.0
    requests_per_minute: Positive = 1200
    submissions_per_minute: Positive = 60
    connections: Positive = 1000


class ClusterAccess(ClosedSchema, frozen=True):
    """Callers whom a cluster knows, by the bearer tokens of its users and service accounts.

    Attributes:
        audiences: One of those that a token must be made for; the API server's own if empty.
        context: Of the kubeconfig; the current one, or the pod's own cluster, if ``None``.
        cache_seconds: How long an answer of the cluster holds.
    """

    audiences: tuple[str, ...] = ()
    context: str | None = None
    cache_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 30.0


class ProxyAccess(ClosedSchema, frozen=True):
    """Callers whom a proxy names that has seen who they are.

    Attributes:
        addresses: From where the proxy connects, as networks such as ``127.0.0.1/32``; from elsewhere its headers mean
            nothing.
        user: The header with the caller's name.
        groups: The header with the caller's groups, separated by commas.
    """

    addresses: tuple[str, ...]
    user: str = "X-Forwarded-User"
    groups: str = "X-Forwarded-Groups"

    def __post_init__(self) -> None:
        """Read the networks."""
        if not self.addresses:
            raise ValueError("name the addresses that the proxy connects from")
        for address in self.addresses:
            ip_network(address)


class Access(ClosedSchema, frozen=True):
    """How callers are known; at least one way.

    Attributes:
        kubernetes: By tokens that a cluster reviews.
        proxy: By a proxy's headers.
        tokens: By tokens of a file, hashed.
    """

    kubernetes: ClusterAccess | None = None
    proxy: ProxyAccess | None = None
    tokens: str | None = None

    def __post_init__(self) -> None:
        """Check that there is a way."""
        if self.kubernetes is None and self.proxy is None and self.tokens is None:
            raise ValueError("name one of kubernetes, proxy and tokens")


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All that a server is told.

    Attributes:
        folders: By their names in the interface; the first is meant where a request names none.
        notebooks: Folders, as URIs or absolute paths, below which notebooks may be named.
        profiles: The server's own, by name, whole.
        cache: A folder of this machine for the indexes of runs; without one they end with the server.
        open: The fields of each profile that a request may set, such as ``resources.memory``.
        access: How the callers of a team's server are known.
        url: Where people and programs reach it: its origin, and the prefix below which a proxy shows it.
        deployment: How it runs on a cluster.
    """

    folders: dict[str, Folder]
    notebooks: tuple[str, ...] = ()
    profiles: dict[str, Profile] = msgspec.field(default_factory=dict)
    open: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    limits: Limits = Limits()
    cache: str | None = None
    access: Access | None = None
    url: str | None = None
    deployment: Deployment | None = None

    def profiles_of(self, folder: Folder) -> dict[str, Profile]:
        """Those that runs may be submitted with to a folder, placed in its namespace."""
        own = {"kubernetes": {"namespace": folder.namespace}}
        return {name: overlaid(self.profiles[name], own) for name in folder.profiles}


def covers(opened: str, path: str) -> bool:
    """Whether a field is another, or a part of it."""
    return path == opened or path.startswith(f"{opened}.")


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
