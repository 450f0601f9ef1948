"""Which request a run was started by: a request that is repeated is answered by the run that it started."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from nbstep.server.folders import RunFolder
from nbstep.server.problems import Problem, conflict
from nbstep.submission.upload import put_once
from nbstep_runner.errors import InputNotFoundError, OutputConflictError
from nbstep_runner.stores import join

MARK: Final = "request.sha256"
"""The object in a run's folder, or in one of the key's name, that says which request started it."""


@dataclass(frozen=True, slots=True)
class RequestClaim:
    """The claim of a request on an id that it names, itself or by its key.

    Attributes:
        folder: Where the claim is kept.
        request: All of the request that decides what is started, and who sent it.
        group: Where what it starts lies; in ``folder`` if ``None``.
    """

    folder: RunFolder
    run_id: str
    request: list[Any]
    group: RunFolder | None = None

    def is_done(self) -> bool:
        """Whether this very request has started its run.

        Raises:
            Problem: The id belongs to another request, or to a run that none started.
        """
        group = self.group or self.folder
        places = group.places(self.run_id)
        there = [uri for uri in places.found_by if group.store.stat(uri) is not None]
        try:
            mark = self.folder.store.read(self._mark).data
        except InputNotFoundError:
            if there:
                raise self._taken() from None
            return False
        if mark != self._digest:
            raise self._taken()
        return places.submission in there

    def take(self) -> None:
        """Keep the id for this request; of two at once that differ, one has it.

        Raises:
            Problem: It belongs to another.
        """
        try:
            put_once(self.folder.store, self._mark, self._digest)
        except OutputConflictError:
            raise self._taken() from None

    @property
    def _mark(self) -> str:
        return join(self.folder.places(self.run_id).folder, MARK)

    @property
    def _digest(self) -> bytes:
        return hashlib.sha256(msgspec.json.encode(self.request, order="sorted")).hexdigest().encode()

    def _taken(self) -> Problem:
        return conflict(
            f"the run {self.run_id} was started by another request",
            hint="Send a new run_id or Idempotency-Key with each new request, and the same with one that is repeated.",
        )
