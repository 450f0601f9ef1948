"""The records of a sweep's runs, as far as they are known: one listing a look, one read for each that has changed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final
from urllib.parse import unquote

from nbstep.backends.protocol import Status
from nbstep.runs.verdict import combine, final_record, is_doubtful, patience, settle
from nbstep.submission.places import SweepPlaces
from nbstep_runner.contract import PLAN, RunResult, SweepSpec, decode, records_among
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import ABSENT, Store, join, redact

AT_ONCE: Final = 16


class SweepRecords:
    """What storage says of each run of a sweep, by its place in the order of the sets.

    Args:
        plan: The sweep.
        places: Where its objects lie.
        store: Of them.
    """

    def __init__(self, plan: SweepSpec, places: SweepPlaces, store: Store) -> None:
        self._plan = plan
        self._places = places
        self._store = store
        self.names = [folder_name(spec.output_uri) for spec in plan.specs]
        self.sets = plan.sets
        self._index = {name: index for index, name in enumerate(self.names)}
        self._found: dict[int, tuple[RunResult | None, str]] = {}
        self._sizes: dict[int, int] = {}
        self._read_at: dict[int, float] = {}
        self._listed: dict[int, tuple[str, float | None]] = {}
        self._earlier: set[int] = set()
        self._settled: dict[int, RunResult] = {}

    @property
    def size(self) -> int:
        """Bytes of the records that were read, as they are stored."""
        return sum(list(self._sizes.values()))

    def look(self) -> list[int]:
        """Learn what has changed since the last look; the runs whose records have."""
        changed, begun = self._list()
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-look") as pool:
            for (index, listed), found in zip(changed.items(), pool.map(self._read, changed), strict=True):
                _, modified = listed
                self._found[index] = found
                self._listed[index] = listed
                self._read_at[index] = time.monotonic()
                before = modified is not None and begun is not None and modified < begun
                (self._earlier.add if before else self._earlier.discard)(index)
        return list(changed)

    def _read(self, index: int) -> tuple[RunResult | None, str]:
        """A run's record and its version; one that is gone or damaged says nothing, and keeps no other from it."""
        try:
            blob = self._store.read(self._places.record(self.names[index]))
        except InputNotFoundError:
            return None, ABSENT
        self._sizes[index] = len(blob.data)
        try:
            return decode(blob.data, RunResult), blob.version
        except BadInputError:
            return None, blob.version

    def _list(self) -> tuple[dict[int, tuple[str, float | None]], float | None]:
        """The runs whose records have changed, with version and time, and the sweep's start; by the store's clock."""
        changed: dict[int, tuple[str, float | None]] = {}
        runs = join(self._places.runs, "")
        stats, begun = records_among(self._store.list(runs), runs, f"{self._places.name}/{PLAN}")
        for name, stat in stats.items():
            index = self._index.get(name)
            if index is not None and self._listed.get(index) != (stat.version, stat.modified):
                changed[index] = stat.version, stat.modified  # a record that answers is written again as it is
        return changed, begun

    def record(self, index: int) -> RunResult | None:
        """A run's record in this sweep; ``None`` before it began: what an earlier sweep left is none of this one's."""
        if index in self._settled:
            return self._settled[index]
        found = self._found.get(index)
        return found[0] if found and index not in self._earlier else None

    def verdict(self, index: int, *, over: bool) -> RunResult | None:
        """The final record of a run; one that was interrupted is made again as long as the sweep is not ``over``."""
        record = self.record(index)
        if record is None or not record.state.final or not (over or self._plan.is_verdict(record)):
            return None
        return record

    def settle(self, status: Status) -> bool:
        """Give every run a verdict, now that its place says that no process makes any; whether each has one.

        A run that was not begun when the sweep was cancelled gets none, and one whose process may live where nobody
        sees it none yet. What an earlier sweep left is not written over.
        """
        waiting = []
        for index in range(len(self.names)):
            record = self.record(index)
            if (record is not None and record.state.final) or (record is None and status.cancelled):
                continue
            fresh = record is not None and self._is_fresh(index)
            if combine(status, record, silent=not fresh).state.final and not (fresh and is_doubtful(status, record)):
                waiting.append(index)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-settle") as pool:
            found = pool.map(partial(self._settle, status), waiting)
            self._settled |= {index: record for index, record in zip(waiting, found, strict=True) if record is not None}
        return all(status.cancelled or self.verdict(index, over=True) for index in range(len(self.names)))

    def _is_fresh(self, index: int) -> bool:
        """Whether a record has changed, as this process saw it, since its run could have been given up."""
        return time.monotonic() - self._read_at[index] < patience(self._found[index][0])

    def _settle(self, status: Status, index: int) -> RunResult | None:
        verdict = final_record(status, self.record(index) or RunResult.blank(self._plan.specs[index], redact))
        if index in self._earlier:
            return verdict
        version = self._found[index][1] if index in self._found else ABSENT
        return settle(self._store, self._places.record(self.names[index]), verdict, version)


def folder_name(uri: str) -> str:
    """The name of the folder that holds an object of a sweep's plan.

    Raises:
        BadInputError: It names no folder of the sweep's own: what removes the sweep would remove others'.
    """
    _, _, name = uri.rpartition("/")[0].rpartition("/")
    if unquote(name) in ("", ".", ".."):
        raise BadInputError(f"the sweep's plan names a place outside of its own folders: {uri}")
    return name
