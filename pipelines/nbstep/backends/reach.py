"""What a run finds where it takes place: its files, its stores, its packages. Each backend says it of its own runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from nbstep.backends.protocol import Backend
from nbstep.profiles import Profile
from nbstep.profiles.volume_claims import here
from nbstep_runner.contract import StorageOptions


class Packages(StrEnum):
    """How the packages that a notebook requires come to its run."""

    INSTALLED = "installed"
    """The run takes this very Python: they are checked to be there."""
    IMAGE = "image"
    """The run takes an image of this machine, which is built with them."""
    PUBLISHED = "published"
    """The run takes an image of a registry, which is built with them and pushed."""
    UNKNOWN = "unknown"
    """The backend does not say; a run with requirements is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What runs of one backend can reach, under one profile.

    Attributes:
        translate: Gives a value as it reads there: every ``pvc://`` URI in it, at any depth, as a path.
        claimed: Gives the path of a file on a claim there as its ``pvc://`` URI again, and anything else as it is.
        storage: How stores are reached from there.
        local_files: Whether paths of this machine name the same files there.
        packages: How required packages come to it.
        uploads: Whether what a run is made of is put into its folder from here; otherwise the backend's plan has all of
            it, and nothing is written by whoever starts the run.
    """

    translate: Callable[[Any], Any]
    storage: StorageOptions
    local_files: bool = True
    packages: Packages = Packages.UNKNOWN
    uploads: bool = True
    claimed: Callable[[str], str] = str

    @classmethod
    def of_this_machine(cls, profile: Profile, packages: Packages = Packages.UNKNOWN) -> Reach:
        """That of a run which sees what this process sees."""
        return cls(
            translate=partial(here, claims=profile.kubernetes.claims), storage=profile.storage, packages=packages
        )


def reach_of(backend: Backend, profile: Profile) -> Reach:
    """What runs of a backend can reach; as from this machine where the backend does not say."""
    said = getattr(backend, "reach", None)
    return Reach.of_this_machine(profile) if said is None else said(profile)
