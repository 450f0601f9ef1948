"""``pvc://claim/path``: files on a persistent volume claim, seen from a pod and from here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from nbstep.profiles.kubernetes import VolumeClaim
from nbstep_runner.errors import BadInputError, UsageError

SCHEME: Final = "pvc://"
ROOT: Final = "/pvc"
_URI: Final = re.compile(r"pvc://(?P<claim>[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(?P<path>/.*)?")


def in_pod(value: Any) -> Any:
    """The value with every ``pvc://`` URI in it, at any depth, as the path where a pod has the claim mounted."""
    return mapped(value, lambda claim, path: f"{ROOT}/{claim}{path}")


def claimed_in_pod(path: str) -> str:
    """The URI of a path where a pod has a claim mounted; any other as it is."""
    return SCHEME + path.removeprefix(f"{ROOT}/") if path.startswith(f"{ROOT}/") else path


def here(value: Any, claims: Mapping[str, VolumeClaim]) -> Any:
    """The value with every ``pvc://`` URI in it as the path where this machine has the claim.

    Raises:
        UsageError: The profile does not say where that is.
    """

    def path_here(claim: str, path: str) -> str:
        known = claims.get(claim)
        if known is None or known.here is None:
            raise UsageError(
                f"this machine has no access to the claim {claim!r}",
                hint=f"Say where it is mounted here: kubernetes.claims.{claim}.here in the profile; or use a bucket.",
            )
        return known.here.rstrip("/") + path

    return mapped(value, path_here)


def claims_in(value: Any) -> list[str]:
    """The claims that a value names, at any depth, each once."""
    found: dict[str, None] = {}

    def note(claim: str, path: str) -> str:
        found[claim] = None
        return path

    mapped(value, note)
    return list(found)


def mapped(value: Any, place: Callable[[str, str], str]) -> Any:
    """The value with ``place(claim, path)`` for every ``pvc://claim/path`` in it, at any depth.

    Raises:
        BadInputError: Such a URI does not name a file on a claim.
    """
    match value:
        case str() if value.startswith(SCHEME):
            return place(*_parts(value))
        case Mapping():
            return {key: mapped(item, place) for key, item in value.items()}
        case list() | tuple():
            return [mapped(item, place) for item in value]
        case _:
            return value


def _parts(uri: str) -> tuple[str, str]:
    found = _URI.fullmatch(uri)
    if found is None or any(part in {".", ".."} for part in uri.split("/")):
        raise BadInputError(f"{uri!r} does not name a file on a claim", hint="Write pvc://claim/path, without '..'.")
    return found["claim"], found["path"] or ""
