"""Profiles as they are named, in a file of profiles, or given by a call, with the call's own values over them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Final

import msgspec

from nbstep.profiles.profile import Profile
from nbstep.profiles.schema import ClosedSchema
from nbstep_runner.contract import Deadlines, StorageOptions
from nbstep_runner.errors import BadInputError, InputNotFoundError, UsageError

PLACES: Final = ("nbstep.yaml", "~/.config/nbstep/profiles.yaml")
VARIABLE: Final = "NBSTEP_PROFILES"


class _Document(ClosedSchema, frozen=True):
    """A file of profiles; each is checked when it is used, with the call's own values over it."""

    default: str | None = None
    profiles: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


def load_profile(name: str | None, overrides: Mapping[str, Any], *, path: str | None = None) -> Profile:
    """The profile of that name with a call's own values over it, field by field.

    Args:
        name: A profile of the file; ``None`` is the file's ``default``, or a plain local profile where there is none.
        overrides: Values by field; ``None`` leaves the profile's.
        path: The file; otherwise ``NBSTEP_PROFILES``, ``nbstep.yaml`` here, or the one in the home directory.

    Raises:
        BadInputError: The file or the overrides do not fit the schema; the message names the field.
        InputNotFoundError: There is no such profile or file.
    """
    document, source = _document(path)
    profiles = document.profiles
    name = name or document.default
    if name is not None and name not in profiles:
        raise _unknown(name, profiles, source)
    base = profiles[name] if name else {}
    where = f"the profile {name!r} of {source}" if name else "the call"
    values = merged(base, overrides)
    return _converted(values, where, _named(values))


def overlaid(profile: Profile, overrides: Mapping[str, Any]) -> Profile:
    """A profile with a call's own values over it.

    Raises:
        BadInputError: They do not fit the schema.
    """
    base, named = msgspec.to_builtins(profile), _named(overrides)
    if profile.service is not None:
        named = {*base["server"].pop("named"), *named}
    return _converted(merged(base, overrides), "the call", named)


def chosen_profile(profile: str | Profile | None, overrides: Mapping[str, Any]) -> Profile:
    """The profile that a call gives or names, with the call's own values over it.

    Raises:
        BadInputError: They do not fit the schema.
        InputNotFoundError: There is no profile of that name.
        UsageError: It is neither a name nor a profile.
    """
    if isinstance(profile, Profile):
        return overlaid(profile, overrides)
    if not isinstance(profile, str | None):
        raise UsageError("a profile is named by text, or is a Profile")
    return load_profile(profile, overrides)


def profile_names() -> list[str]:
    """The names of the file's profiles; none where there is no file."""
    return list(_document(None)[0].profiles)


def as_text(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with text for each path, at any depth of mappings."""
    return {
        name: as_text(value) if isinstance(value, Mapping) else str(value) if isinstance(value, PurePath) else value
        for name, value in values.items()
    }


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``over`` above it; mappings are merged, everything else is replaced, ``None`` changes nothing.

    Paths become text.
    """
    result = dict(base)
    for key, value in as_text(over).items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        elif value is not None:
            result[key] = value
    return result


def _named(values: Mapping[str, Any], within: str = "") -> set[str]:
    """The fields that are given a value, such as ``resources.cpu``."""
    found = set()
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _named(value, f"{within}{name}.")
        elif value is not None:
            found.add(f"{within}{name}")
    return found


def _converted(values: Mapping[str, Any], where: str, named: set[str]) -> Profile:
    _check_plain(values, where)
    try:
        profile = msgspec.convert(values, Profile)
    except msgspec.ValidationError as error:
        raise BadInputError(f"{where} does not fit: {error}", hint="docs/launcher.md lists every field.") from error
    if profile.service is None:
        return profile
    if profile.service.named:
        raise BadInputError(f"{where} does not fit: server.named is not written, it follows from the rest")
    return msgspec.structs.replace(profile, server=msgspec.structs.replace(profile.service, named=tuple(sorted(named))))


def _check_plain(values: Mapping[str, Any], where: str) -> None:
    """Refuse fields that the shared types, which other versions must be able to read, would pass over.

    And numbers where people write them for text, in words of theirs.
    """
    shared: tuple[tuple[str, type[Deadlines | StorageOptions]], ...]
    shared = (("deadlines", Deadlines), ("storage", StorageOptions))
    for group, kind in shared:
        given = values.get(group, {})
        known = [field.name for field in fields(kind)]
        for name in given if isinstance(given, Mapping) else ():
            if name not in known:
                raise BadInputError(
                    f"{where} does not fit: there is no field {group}.{name}", hint=f"There are: {', '.join(known)}."
                )
    for group in ("env", "labels"):
        given = values.get(group, {})
        for name, value in given.items() if isinstance(given, Mapping) else ():
            if isinstance(value, bool | int | float):
                raise BadInputError(
                    f"{where} does not fit: {group}.{name} is of type {type(value).__name__}, not text",
                    hint="Write its value in quotes.",
                )


def _document(path: str | None) -> tuple[_Document, str]:
    chosen = path or os.environ.get(VARIABLE)
    for place in [chosen] if chosen else PLACES:
        file = Path(os.path.expanduser(place))  # noqa: PTH111 - Path.expanduser raises where there is no home
        if os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises where the home is somebody else's
            return _read(file), str(file)
    if chosen:
        raise InputNotFoundError(
            f"there is no file of profiles {chosen}", hint=f"Correct {VARIABLE}, or take it out of the environment."
        )
    return _Document(), ""


def _read(file: Path) -> _Document:
    from nbstep.profiles.strict_yaml import read_file

    return _parsed(read_file(file, what="file of profiles"), str(file))


@lru_cache(maxsize=4)
def _parsed(data: bytes, file: str) -> _Document:
    """The document; whoever asks for each profile in turn has the same bytes read once."""
    from nbstep.profiles.strict_yaml import load

    document = load(data, where=file)
    try:
        return msgspec.convert({} if document is None else document, _Document)
    except msgspec.ValidationError as error:
        raise BadInputError(
            f"{file} does not fit: {error}",
            hint="It holds `profiles:`, each by its name, and perhaps `default:`, the name of one.",
        ) from error


def _unknown(name: str, profiles: Mapping[str, Any], source: str) -> InputNotFoundError:
    if not source:
        return InputNotFoundError(
            f"there is no profile {name!r}: no file of profiles is here", hint=f"It is one of {', '.join(PLACES)}."
        )
    near = get_close_matches(name, profiles, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(profiles) or 'none'}."
    return InputNotFoundError(f"there is no profile {name!r} in {source}", hint=hint)
