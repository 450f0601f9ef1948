"""The file in which a server is told of its world: YAML, a closed schema, all of it checked before it is used."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import unquote

import msgspec

from nbstep.profiles import Profile, overlaid
from nbstep.profiles.schema import ClosedSchema
from nbstep.profiles.service import Name, origin_of
from nbstep.profiles.strict_yaml import load_file
from nbstep.server.config import Access, Config, Deployment, Folder, Limits, covers
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
        if not _is_whole(place):
            raise BadInputError(
                f"{where} does not fit: {place!r} is neither an absolute path nor a URI of a store, each in one way",
                hint="Write it whole and plain, such as /srv/runs or gs://bucket/runs.",
            )


def _is_whole(place: str) -> bool:
    """Whether a place is written in the one way by which two of them can be told apart."""
    scheme, separator, rest = place.partition("://")
    if not separator:
        return Path(place).is_absolute()
    segments = map(unquote, rest.rstrip("/").split("/"))
    plain = all(each not in ("", ".", "..") and "/" not in each for each in segments)
    return scheme == scheme.lower() != "file" and plain


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
