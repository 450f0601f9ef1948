"""Folders of runs below a folder of runs: the sets of a sweep, each in a folder of its own, and endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from nbstep.endpoints.endpoint import FILE as ENDPOINT
from nbstep_runner.contract import OWN_FOLDERS, RECORD
from nbstep_runner.stores import Stat

MOST: Final = 10_000
"""How many groups of one folder are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A folder with folders of runs in it.

    Attributes:
        path: Below the folder of runs.
        is_endpoint: Its runs are the starts of an endpoint.
        runs: How many have a record.
        modified: When the last of these was written.
    """

    path: str
    is_endpoint: bool
    runs: int
    modified: float


class Groups:
    """The groups among the objects of a listing.

    Args:
        prefix: What the URIs of the objects begin with.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._runs: dict[str, tuple[int, float]] = {}
        self._endpoints: dict[str, float] = {}

    def noting(self, stats: Iterable[Stat]) -> Iterator[Stat]:
        """The objects as they come; each is taken note of."""
        for stat in stats:
            if stat.uri.endswith((f"/{RECORD}", f"/{ENDPOINT}")):
                self._note(unquote(stat.uri.removeprefix(self._prefix)), stat.modified or 0.0)
            yield stat

    def _note(self, name: str, modified: float) -> None:
        above, _, _ = name.rpartition("/")
        path, _, run = above.rpartition("/")
        if name.endswith(ENDPOINT) and not path and len(self._endpoints) < MOST:
            self._endpoints[run] = modified
        elif name.endswith(f"/{RECORD}") and path and not any(each.endswith(OWN_FOLDERS) for each in above.split("/")):
            runs, latest = self._runs.get(path, (0, 0.0))
            if runs or len(self._runs) < MOST:
                self._runs[path] = runs + 1, max(latest, modified)

    def found(self) -> list[Group]:
        """Those of the objects that have come so far."""
        sweeps = [
            Group(path=path, is_endpoint=False, runs=runs, modified=modified)
            for path, (runs, modified) in self._runs.items()
            if path.partition("/")[0] not in self._endpoints
        ]
        endpoints = [
            Group(path=name, is_endpoint=True, runs=self._runs.get(name, (0, 0.0))[0], modified=modified)
            for name, modified in self._endpoints.items()
        ]
        return sweeps + endpoints
