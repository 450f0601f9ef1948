"""Where the objects of runs lie: in storage, or at a place that alone gives them, such as a service."""

from __future__ import annotations

from typing import Any

from nbstep.backends.protocol import Backend
from nbstep.backends.registry import SCHEMES, backend_named
from nbstep.errors import kept_by_a_service
from nbstep.profiles import Profile
from nbstep.profiles import storage as of_storage
from nbstep.profiles.storage import DEFAULT_RUNS, absolute
from nbstep.profiles.volume_claims import here
from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import Store


def store_of(uri: str, options: StorageOptions) -> Store:
    """The store of a URI, shared by all that lies at the same place and is reached in the same way."""
    keeper: Any = keeper_of(uri)
    if keeper is not None:
        kept: Store = keeper.store()
        return kept
    return of_storage.store_of(uri, options)


def keeper_of(uri: str, profile: Profile | None = None) -> Backend | None:
    """The backend that alone gives what lies at a URI of its scheme; ``None`` where it lies in storage.

    Args:
        uri: Of a folder of runs, a run, or an object of one.
        profile: By which the place is reached, where one is named.
    """
    scheme, separator, _ = uri.partition("://")
    if not separator or scheme not in SCHEMES:
        return None
    backend: Any = backend_named(SCHEMES[scheme])
    if not hasattr(backend, "store"):
        return None
    if profile is not None and hasattr(backend, "know"):
        backend.know(profile)
    kept: Backend = backend
    return kept


def check_removable(uri: str) -> None:
    """Whether runs that lie there may be removed from here: what a place alone gives, it alone removes.

    Raises:
        StorageDeniedError: They may not.
    """
    if keeper_of(uri) is not None:
        raise kept_by_a_service(uri)


def named_runs(profile: Profile) -> str | None:
    """The folder of all runs that a profile names, or else its backend; ``None`` where neither does.

    Raises:
        UsageError: The backend is not installed here, or the profile lacks what it takes.
    """
    if profile.runs is None:
        backend: Any = backend_named(profile.on)
        if hasattr(backend, "default_runs"):
            return str(backend.default_runs(profile))
    return profile.runs


def folder_of_runs(profile: Profile) -> str:
    """The folder of all runs, as this machine reaches it.

    Raises:
        UsageError: It is on a claim that this machine has no access to, or as :func:`named_runs`.
    """
    return absolute(here(named_runs(profile) or DEFAULT_RUNS, profile.kubernetes.claims))
