"""From the URIs of a service's runs to the service itself, which a profile names: nobody else gets a token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final
from urllib.parse import quote

import msgspec

from nbstep.backends.server.client import Service
from nbstep.profiles import Profile, ServiceOptions, load_profile, profile_names
from nbstep.profiles.service import SCHEME
from nbstep_runner.errors import NbstepError, UsageError

HANDLE: Final = f"{SCHEME}HOST/FOLDER/ID"
STEM: Final = "output."
"""What the names of the objects begin with that a service sends of a run, and no set or sweep is named so."""
Known = tuple[ServiceOptions, float]
"""A service as a profile names it, and for how many seconds it is tried again."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a URI names at a service: a folder of runs, a run or a sweep, or an object of a run.

    Attributes:
        options: The service, as the profile names it, and the folder.
        group: The path of the folder in it that holds the run; empty for a run of the folder itself. A sweep has one.
        run_id: Of the run or the sweep; empty for a folder.
        name: Below the run's folder; empty for a run.
    """

    service: Service
    options: ServiceOptions
    group: str
    run_id: str
    name: str

    @property
    def top(self) -> dict[str, str]:
        """What names the folder in an address."""
        return {"folder": self.options.folder}

    @property
    def query(self) -> dict[str, str]:
        """What names the folder of the run in an address."""
        return {"folder": f"{self.options.folder}/{self.group}"} if self.group else self.top

    @property
    def path(self) -> str:
        """Of the run in the interface."""
        return f"/v1/runs/{quote(self.run_id, safe='')}"

    @property
    def below(self) -> str:
        """The path of the run or the sweep below the service's folder."""
        return f"{self.group}/{self.run_id}".removeprefix("/")


class Places:
    """The services that this process has been told of; where none of them fits, those of the profiles file."""

    def __init__(self) -> None:
        self._told: dict[str, Known] = {}
        self._services: dict[tuple[ServiceOptions, float], Service] = {}
        self._lock = Lock()

    def tell(self, profile: Profile) -> None:
        """Reach the profile's service as the profile says, from now on."""
        if profile.service is not None:
            self._told[profile.service.runs] = (profile.service, profile.storage.retry_seconds)

    def of(self, uri: str) -> Place:
        """What a URI names.

        Raises:
            UsageError: No profile names the service, or the URI is none of a service's.
        """
        known = _nearest(uri, tuple(self._told.values())) or _nearest(uri, _of_the_file())
        if known is None:
            raise UsageError(
                f"no profile names the service of {uri}",
                hint="Name it in a profile: server: {url: https://…, token: {secret: env:NAME}}.",
            )
        found, patience = known
        folder, _, rest = uri.removeprefix(f"{found.root}/").rstrip("/").partition("/")
        path = rest.split("/")
        end = next((index for index, each in enumerate(path) if index and each.startswith(STEM)), len(path))
        try:
            options = msgspec.convert(msgspec.to_builtins(found) | {"folder": folder}, ServiceOptions)
        except msgspec.ValidationError:
            raise UsageError(f"{uri} names no folder of runs", hint=f"A run is written {HANDLE}.") from None
        group, name = "/".join(path[: end - 1]), "/".join(path[end:])
        return Place(self._service(found, patience), options, group, path[end - 1], name)

    def _service(self, options: ServiceOptions, patience: float) -> Service:
        """One for all folders that are reached with one token: it keeps its connections."""
        key = (msgspec.structs.replace(options, folder="any", profile=None, named=()), patience)
        with self._lock:
            if key not in self._services:
                self._services[key] = Service(options, patience)
            return self._services[key]


def _nearest(uri: str, known: Iterable[Known]) -> Known | None:
    """The service that a URI belongs to: of several, that with the longest address, as its own folder is reached."""
    fitting = [each for each in known if uri.startswith(f"{each[0].root}/")]
    return max(fitting, key=lambda each: (len(each[0].root), f"{uri}/".startswith(f"{each[0].runs}/")), default=None)


def _of_the_file() -> Iterator[Known]:
    for name in profile_names():
        with suppress(NbstepError):  # what is wrong with another profile is told to whoever uses it
            profile = load_profile(name, {})
            if profile.service is not None:
                yield profile.service, profile.storage.retry_seconds
