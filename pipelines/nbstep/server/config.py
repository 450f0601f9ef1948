"""What a server is told of its world: run folders, the places of notebooks, profiles, limits. YAML, a closed schema."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from nbstep.profiles import Profile, overlaid
from nbstep.profiles.schema import ClosedSchema
from nbstep.profiles.service import origin_of
from nbstep.profiles.strict_yaml import load_file
from nbstep.server.deployment import Deployment
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError
from nbstep_runner.stores import join

PARTS: Final = (
    "It holds `folders:`, and perhaps `notebooks:`, `profiles:`, `access:`, `url:`, `limits:`, `cache:`, `deployment:`."
)
NEVER_OPEN: Final = (
    "on",
    "runs",
    "server",
    "storage",
    "kubernetes.namespace",
    "kubernetes.context",
    "kubernetes.storage",
)
"""Fields of a profile that say where a run is, on which what somebody may do depends."""
OPEN: Final = "open"
Positive = Annotated[int, msgspec.Meta(gt=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$")]


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


class _Document(ClosedSchema, frozen=True):
    """The file as it is written: profiles may leave out what is usual."""

    folders: dict[Name, Folder]
    notebooks: tuple[str, ...] = ()
    profiles: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    limits: Limits = Limits()
    cache: str | None = None
    access: Access | None = None
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*/?$")] | None = None
    deployment: Deployment | None = None


def read_config(file: Path) -> Config:
    """The configuration that a file holds.

    Raises:
        InputNotFoundError: There is no such file.
        BadInputError: It cannot be read, or does not fit; the message names the field.
    """
    return config_of(load_file(file, what="configuration"), where=str(file))


def config_of(document: Any, *, where: str) -> Config:
    """The configuration that a document describes, once all of it is known to fit together.

    Raises:
        BadInputError: It does not fit; the message names the field.
    """
    try:
        written = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise BadInputError(f"{where} does not fit: {error}", hint=PARTS) from None
    opened = {name: _opened(name, values, where) for name, values in written.profiles.items()}
    profiles = {name: _profile(name, values, where) for name, values in written.profiles.items()}
    _check(written, profiles, where)
    return Config(
        folders=written.folders,
        notebooks=written.notebooks,
        profiles=profiles,
        open=opened,
        limits=written.limits,
        cache=written.cache,
        access=written.access,
        url=None if written.url is None else written.url.rstrip("/"),
        deployment=written.deployment,
    )


def _profile(name: str, values: dict[str, Any], where: str) -> Profile:
    try:
        return overlaid(Profile(), {field: value for field, value in values.items() if field != OPEN})
    except BadInputError as error:
        raise BadInputError(f"{where}, profiles.{name}: {error.message}", hint=error.hint) from None


def _opened(name: str, values: dict[str, Any], where: str) -> tuple[str, ...]:
    """The fields that a profile opens.

    Raises:
        BadInputError: They are no fields, or say where a run is.
    """
    try:
        opened = msgspec.convert(values.get(OPEN, ()), tuple[str, ...])
    except msgspec.ValidationError as error:
        raise BadInputError(f"{where}, profiles.{name}.{OPEN}: {error}", hint="It is a list of fields.") from None
    for path in opened:
        if not _is_field(path):
            raise BadInputError(
                f"{where}: profiles.{name} opens {path!r}, which is no field of a profile",
                hint="Name it as in resources.memory; docs/launcher.md lists every field.",
            )
        if any(covers(path, field) or covers(field, path) for field in NEVER_OPEN):
            raise BadInputError(
                f"{where}: profiles.{name} opens {path!r}, which says where a run is and who may",
                hint=f"Leave out {', '.join(NEVER_OPEN)}, and what they are part of.",
            )
    return opened


def covers(opened: str, path: str) -> bool:
    """Whether a field is another, or a part of it."""
    return path == opened or path.startswith(f"{opened}.")


def _is_field(path: str) -> bool:
    first, _, rest = path.partition(".")
    fields = msgspec.to_builtins(Profile())
    if first not in fields:
        return False
    return not rest or not isinstance(fields[first], dict) or not fields[first] or rest.split(".")[0] in fields[first]


def _check(written: _Document, profiles: dict[str, Profile], where: str) -> None:
    _check_url(written.url, where)
    if not written.folders:
        raise BadInputError(f"{where} names no folder of runs", hint="Name one: folders: {NAME: {uri: URI}}.")
    for name, folder in written.folders.items():
        _check_rights(name, folder, written.access, where)
        for profile in folder.profiles:
            if profile not in written.profiles:
                raise BadInputError(
                    f"{where} does not fit: folders.{name} names an unknown profile {profile!r}",
                    hint=f"There are: {', '.join(written.profiles) or 'none'}.",
                )
            placed = profiles[profile].kubernetes.namespace
            if folder.namespace is not None and placed not in (None, folder.namespace):
                raise BadInputError(
                    f"{where} does not fit: folders.{name} is of the namespace {folder.namespace}, and its profile "
                    f"{profile!r} runs in {placed}",
                    hint="Leave the profile's namespace out: it is the folder's.",
                )
    _check_apart({name: folder.uri for name, folder in written.folders.items()}, where)
    for place in (*(folder.uri for folder in written.folders.values()), *written.notebooks):
        if place.lower().startswith("file:") or ("://" not in place and not Path(place).is_absolute()):
            raise BadInputError(
                f"{where} does not fit: {place!r} is neither an absolute path nor a URI of a store",
                hint="Write it whole, such as /srv/runs or gs://bucket/runs.",
            )


def _check_apart(uris: dict[str, str], where: str) -> None:
    """Refuse a folder below another one: whoever may look into that would see its runs, as a group of runs."""
    places = {name: join(uri if "://" in uri else str(Path(uri).resolve()), "") for name, uri in uris.items()}
    for (name, inner), (other, outer) in permutations(places.items(), 2):
        if inner != outer and inner.startswith(outer):
            raise BadInputError(
                f"{where} does not fit: folders.{name} lies in folders.{other}, whose readers would see its runs",
                hint="Give each folder a place of its own.",
            )


def _check_url(url: str | None, where: str) -> None:
    try:
        if url is not None:
            origin_of(url)
    except ValueError as error:
        hint = "Write it as https://HOST, perhaps with a port and a path."
        raise BadInputError(f"{where} does not fit: url {url}: {error}", hint=hint) from None


def _check_rights(name: str, folder: Folder, access: Access | None, where: str) -> None:
    by_cluster = folder.namespace is not None and access is not None and access.kubernetes is not None
    if access is not None and not (by_cluster or folder.readers or folder.submitters):
        raise BadInputError(
            f"{where} does not fit: nobody may look into folders.{name}",
            hint="Give it a namespace, where access.kubernetes is set, or name readers and submitters.",
        )
    if access is None and (folder.readers or folder.submitters):
        raise BadInputError(
            f"{where} does not fit: folders.{name} names people, and nothing says how they are known",
            hint="Add access: with kubernetes, proxy or tokens.",
        )
