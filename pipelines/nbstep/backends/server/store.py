"""The objects of a service's runs, read through its interface. They are the service's alone to write."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, unquote

from nbstep.backends.server.answers import decoded
from nbstep.backends.server.interface import Detail, Page, Summary, SweepDetail, record_of
from nbstep.backends.server.places import STEM, Place, Places
from nbstep.errors import RunNotFoundError, kept_by_a_service
from nbstep_runner.contract import OUTPUT, PLAN, RECORD, RunResult
from nbstep_runner.errors import InputNotFoundError
from nbstep_runner.stores import Blob, Source, Stat, below, join

OBJECT_BYTES: Final = 2**31
"""Of one object; no larger file is collected of a run."""
PAGE: Final = "200"


class ServiceStore:
    """See :class:`nbstep_runner.stores.Store`; it reads and lists.

    Args:
        places: Where the services are.
    """

    atomic_replace = True
    conditional_write = False
    verified = True

    def __init__(self, places: Places) -> None:
        self._places = places

    def read(self, uri: str) -> Blob:
        """An object of a run, whole."""
        place = self._places.of(uri)
        name = unquote(place.name)
        if place.group and place.run_id == PLAN:
            raise kept_by_a_service(uri)
        if not name.startswith(STEM):
            raise InputNotFoundError(f"a service has no object {uri}")
        try:
            data = place.service.get(f"{place.path}/objects/{quote(name)}", place.query, OBJECT_BYTES)
        except RunNotFoundError as error:
            raise InputNotFoundError(error.message) from None
        return Blob(data, hashlib.sha256(data).hexdigest())

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:  # noqa: ARG002 - the protocol's
        """Refuse."""
        raise kept_by_a_service(uri)

    def stat(self, uri: str) -> Stat | None:
        """Whether an object of a run is there."""
        return next((stat for stat in self.list(uri) if stat.uri == uri), None)

    def list(self, uri: str) -> Iterator[Stat]:
        """The objects of a run; of a folder the records of its runs."""
        place = self._places.of(uri)
        if not place.run_id:
            for summary in summaries(place):
                yield Stat(uri=join(place.options.runs, f"{summary.id}/{RECORD}"), size=0, version="")
            return
        folder = join(place.options.runs, place.below)
        try:
            objects = detail(place).objects
        except RunNotFoundError:
            return
        for each in sorted(objects, key=lambda each: each.name):
            if (found := below(folder, each.name)).startswith(uri):
                yield Stat(uri=found, size=each.size, version="")

    def delete(self, uri: str, *, if_version: str | None = None) -> None:  # noqa: ARG002 - the protocol's
        """Refuse."""
        raise kept_by_a_service(uri)

    def records(self, uri: str) -> Iterator[RunResult]:
        """What the service's list tells of the runs of a folder, newest first: no cells, files or warnings."""
        place = self._places.of(uri)
        for summary in runs_of_sweep(place) if place.run_id else summaries(place):
            yield record_of(summary, join(place.options.runs, f"{place.below}/{summary.id}/{OUTPUT}"))


def summaries(place: Place) -> Iterator[Summary]:
    """The runs of a folder, page after page, each asked for once it is wanted."""
    query = {**place.query, "limit": PAGE}
    while True:
        page = decoded(place.service.get("/v1/runs", query), Page, place.service.url)
        yield from page.runs
        if not page.next or page.next == query.get("cursor"):
            return
        query["cursor"] = page.next


def runs_of_sweep(place: Place) -> list[Summary]:
    """The runs of a folder below a service's own, as far as they have begun: the last to begin first.

    Raises:
        RunNotFoundError: There are none there.
    """
    answer = place.service.get(f"/v1/sweeps/{quote(place.below)}", place.top)
    told = decoded(answer, SweepDetail, place.service.url)
    begun = [each.run for each in told.sets if each.run is not None]
    return sorted(begun, key=lambda run: run.started_at, reverse=True)


def detail(place: Place) -> Detail:
    """What the service tells of a run.

    Raises:
        RunNotFoundError: There is none, or it may not be known.
    """
    return decoded(place.service.get(place.path, place.query), Detail, place.service.url)
