"""The index of a folder of runs: a cache, so that a page of a list costs no listing of the folder.

A listing of the folder says which runs there are and which have changed; it is made again while somebody asks. A run's
record is read when a page needs it, or on the side, and once more only if a listing says that it has changed, or while
the run is under way. Nothing is kept in the index alone: without it, the folder is listed and read anew.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby, islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from nbstep.backends.protocol import RUN_ID
from nbstep.backends.server.interface import Summary, summary_of
from nbstep.profiles.storage import store_of
from nbstep.runs.history import read_run
from nbstep.server.config import Folder
from nbstep.server.groups import Groups
from nbstep.server.index_database import IndexRenewedError
from nbstep.server.index_file import IndexFile
from nbstep.server.index_rows import Entry, Found, Row, short, started
from nbstep.server.links import confined
from nbstep.server.problems import busy
from nbstep_runner.contract import RECORD, SPEC, RunState
from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.stores import Stat, Store, join

AT_ONCE: Final = 32
ENTRIES: Final = 1000
"""How many runs of a listing are entered at once."""
READ_AHEAD: Final = 128
"""How many records are read on the side before the next listing may begin."""
QUICK_SECONDS: Final = 0.2
"""Where a listing takes no longer, the next is waited for; otherwise a page tells what the last one brought."""
PATIENCE_SECONDS: Final = 10.0
"""How long a listing is waited for: the first, before whose end nothing can be told, or one that was quick before."""
PAUSES: Final = 1.0
"""Listings that take long pause for so many times what they take."""
FRESH_SECONDS: Final = 1.0
"""For so long a run under way is as it was read."""
WAITING_SECONDS: Final = 86_400.0
"""A run that has not begun after so long is looked at again only when a listing says that it has changed."""


T = TypeVar("T")


class RunIndex:
    """The runs of one folder. Safe to use from several threads.

    Args:
        prefix: What the URIs of its objects begin with; it ends with ``/``.
        store: Where they lie, opened when it is asked for.
        file: Keeps the rows.
    """

    def __init__(self, prefix: str, store: Callable[[], Store], file: IndexFile) -> None:
        self._prefix = prefix
        self._store = store
        self.file = file
        self._changed = threading.Condition()
        self._wanted = self._begun = self._ended = 0
        self._working = False
        self._error: Exception | None = None
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-records")  # for what somebody waits for

    @classmethod
    def of(cls, folder: Folder, cache: str | None) -> RunIndex:
        """The index of a configured folder, in a folder of index files or, without one, in a file without a name."""
        prefix = join(folder.uri, "")
        digest = hashlib.sha256(msgspec.json.encode([prefix, folder.storage])).hexdigest()[:32]
        file = IndexFile(Path(cache) / f"runs-{digest}.sqlite3" if cache else None)
        return cls(prefix, lambda: confined(store_of(prefix, folder.storage), folder.uri), file)

    def refresh(self, patience: float | None = None) -> float:
        """Be as new as that can be had at once, and see to the rest on the side; when the last listing ended.

        Args:
            patience: Seconds for which a listing is waited for where one is; ``None``: as a page waits.

        Raises:
            Problem: The folder is listed for the first time, and that takes long.
            NbstepError: It cannot be listed.
            IndexRenewedError: The file was damaged, and is now empty.
        """
        listed = self.file.listed
        patience = PATIENCE_SECONDS if patience is None else patience
        wait = patience if listed is None or listed[1] <= QUICK_SECONDS else 0.0
        with self._changed:
            under_way = self._begun > self._ended
            mine = self._begun if under_way and listed is None else self._begun + 1
            if wait or (not under_way and listed and time.time() > listed[0] + PAUSES * listed[1]):
                self._want(mine)
            self._changed.wait_for(lambda: self._ended >= mine or self._error is not None, wait)
            if self._error is not None and wait:
                raise self._error
            ended = self._ended >= mine
        listed = self.file.listed
        if listed is None and ended:  # the file was found damaged since
            raise IndexRenewedError
        if listed is None:
            raise busy(f"the folder is listed for the first time: {self.file.last_key} runs so far", 5)
        return listed[0]

    def note(self, run_id: str) -> None:
        """Tell of a run that was just submitted here, ahead of the next listing, which tells of it in any case."""
        with suppress(IndexRenewedError, StorageUnavailableError):
            self.file.take([Entry(run_id=run_id, has_record=False, version="", modified=time.time())])

    def told(self, ask: Callable[[float], T], patience: float | None = None) -> T:
        """What somebody finds in the index once it is refreshed; asked once more where it was made anew meanwhile.

        Args:
            ask: Is given when the last listing ended.
            patience: As of :meth:`refresh`.

        Raises:
            Problem: As of :meth:`refresh`, or the index was damaged twice.
            NbstepError: The folder cannot be listed.
        """
        for _ in range(2):
            with suppress(IndexRenewedError):
                renewals = self.file.renewals
                found = ask(self.refresh(patience))
                if self.file.renewals == renewals:
                    return found
        raise busy("the index of the folder is made again", 5)

    def look_at(self, rows: Sequence[Row]) -> Iterator[tuple[Row, Summary | None]]:
        """What is known of runs, each read again where that may have changed."""
        now = time.time()
        stale = [row for row in rows if is_stale(row, now)]
        read = {each.row.key: each.summary for each in self._read(stale, self._pool)}
        for row in rows:
            kept = None if row.summary is None or row.key in read else msgspec.json.decode(row.summary, type=Summary)
            yield row, read.get(row.key, kept)

    def _read(self, rows: Sequence[Row], pool: ThreadPoolExecutor) -> list[Found]:
        """Read runs, some at once, and keep what was found."""
        if not rows:
            return []
        now = time.time()
        store = self._store()
        found = list(pool.map(lambda row: self._look(store, row, now), rows))
        self.file.keep(found, now)
        return found

    def _look(self, store: Store, row: Row, now: float) -> Found:
        folder = join(self._prefix, row.run_id)
        record = read_run(store, join(folder, RECORD))
        if record is None and not row.has_record:
            record = read_run(store, join(folder, SPEC))
        if record is None:  # damaged, or removed since
            return Found(row, None, settled=True)
        summary = short(summary_of("", row.run_id, record))
        waits_no_more = record.state is RunState.PENDING and row.modified < now - WAITING_SECONDS
        return Found(row, summary, settled=record.state.final or waits_no_more, started=started(summary))

    def _want(self, listing: int) -> None:
        """Have this listing made; under the lock."""
        self._wanted, self._error = max(self._wanted, listing), None
        if not self._working:
            self._working = True
            threading.Thread(target=self._work, name="nbstep-index", daemon=True).start()

    def _work(self) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-index") as pool:
            self._list_and_read(pool)

    def _list_and_read(self, pool: ThreadPoolExecutor) -> None:
        """List the folder as often as is wanted, and read meanwhile what has not been read."""
        while True:
            with self._changed:
                listing = self._begun < self._wanted
                self._begun += listing
            error, more = None, True
            try:
                if listing:
                    self._list()
                else:
                    more = bool(self._read(self.file.unread(READ_AHEAD), pool))
            except Exception as raised:  # noqa: BLE001 - whoever waits has to learn of it, whatever it is
                error, more = raised, False
            with self._changed:
                if listing:
                    self._ended, self._error = self._begun, error
                    self._changed.notify_all()
                if not more and self._begun == self._wanted:
                    self._working = False
                    return

    def _list(self) -> None:
        began = time.monotonic()
        store, renewals = self._store(), self.file.renewals
        seen, groups = bytearray(self.file.last_key + 1), Groups(self._prefix)
        entries = entries_of(groups.noting(store.list(self._prefix)), self._prefix)
        while some := list(islice(entries, ENTRIES)):
            for key in self.file.take(some):
                if key < len(seen):
                    seen[key] = 1
        self.file.finish_listing(seen, groups.found(), time.monotonic() - began, renewals)


def is_stale(row: Row, now: float) -> bool:
    """Whether a run has to be read before it is told of."""
    return not row.settled and row.read_at < now - FRESH_SECONDS


def entries_of(stats: Iterable[Stat], prefix: str) -> Iterator[Entry]:
    """The runs among the objects below a prefix, which come in order of their names: by their records or specs."""
    named = ((stat.uri.removeprefix(prefix).partition("/"), stat) for stat in stats)
    found = ((run_id, name, stat) for (run_id, _, name), stat in named if name in (RECORD, SPEC))
    for run_id, objects in groupby(found, key=lambda each: each[0]):
        if RUN_ID.fullmatch(run_id):
            stats_by_name = {name: stat for _, name, stat in objects}
            stat = stats_by_name.get(RECORD) or stats_by_name[SPEC]
            yield Entry(
                run_id=run_id, has_record=RECORD in stats_by_name, version=stat.version, modified=stat.modified or 0.0
            )
