"""What a server is told of its world: run folders, the places of notebooks, profiles, limits. YAML, a closed schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from nbstep.profiles import Profile, overlaid
from nbstep.profiles.schema import ClosedSchema
from nbstep.profiles.strict_yaml import load
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, InputNotFoundError

PARTS: Final = "It holds `folders:`, and perhaps `notebooks:`, `profiles:`, `limits:` and `cache:`."
Positive = Annotated[int, msgspec.Meta(gt=0)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$")]


class Folder(ClosedSchema, frozen=True):
    """A folder of runs.

    Attributes:
        uri: Where it is, as this server reaches it: a URI or an absolute path.
        profiles: The names of those that runs may be submitted with; none makes it a folder to read.
        storage: How its store is reached, by this server and, unless a profile says otherwise, by its runs.
    """

    uri: str
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
        stalled_seconds: How long a stream waits for a reader that takes nothing.
    """

    body_bytes: Positive = 2**20
    upload_bytes: Positive = 2**26
    object_bytes: Positive = 2**28
    records: Positive = 2000
    streams: Positive = 200
    stalled_seconds: Annotated[float, msgspec.Meta(gt=0)] = 30.0


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """All that a server is told.

    Attributes:
        folders: By their names in the interface; the first is meant where a request names none.
        notebooks: Folders, as URIs or absolute paths, below which notebooks may be named.
        profiles: The server's own, by name, whole.
        cache: A folder of this machine for the indexes of runs; without one they end with the server.
    """

    folders: dict[str, Folder]
    notebooks: tuple[str, ...] = ()
    profiles: dict[str, Profile] = msgspec.field(default_factory=dict)
    limits: Limits = Limits()
    cache: str | None = None


class _Document(ClosedSchema, frozen=True):
    """The file as it is written: profiles may leave out what is usual."""

    folders: dict[Name, Folder]
    notebooks: tuple[str, ...] = ()
    profiles: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    limits: Limits = Limits()
    cache: str | None = None


def read_config(file: Path) -> Config:
    """The configuration that a file holds.

    Raises:
        InputNotFoundError: There is no such file.
        BadInputError: It does not fit; the message names the field.
    """
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise InputNotFoundError(f"there is no configuration {file}") from None
    return config_of(load(data, where=str(file)), where=str(file))


def config_of(document: Any, *, where: str) -> Config:
    """The configuration that a document describes, once all of it is known to fit together.

    Raises:
        BadInputError: It does not fit; the message names the field.
    """
    try:
        written = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise BadInputError(f"{where} does not fit: {error}", hint=PARTS) from None
    profiles = {name: overlaid(Profile(), values) for name, values in written.profiles.items()}
    _check(written, where)
    return Config(
        folders=written.folders,
        notebooks=written.notebooks,
        profiles=profiles,
        limits=written.limits,
        cache=written.cache,
    )


def _check(written: _Document, where: str) -> None:
    if not written.folders:
        raise BadInputError(f"{where} names no folder of runs", hint="Name one: folders: {NAME: {uri: URI}}.")
    for name, folder in written.folders.items():
        for profile in folder.profiles:
            if profile not in written.profiles:
                raise BadInputError(
                    f"{where} does not fit: folders.{name} names an unknown profile {profile!r}",
                    hint=f"There are: {', '.join(written.profiles) or 'none'}.",
                )
    for place in (*(folder.uri for folder in written.folders.values()), *written.notebooks):
        if place.lower().startswith("file:") or ("://" not in place and not Path(place).is_absolute()):
            raise BadInputError(
                f"{where} does not fit: {place!r} is neither an absolute path nor a URI of a store",
                hint="Write it whole, such as /srv/runs or gs://bucket/runs.",
            )
