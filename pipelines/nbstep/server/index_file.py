"""The file of an index: a row for each run of a folder, in SQLite.

It is a cache: one that is damaged, or of another version, is made anew.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from nbstep.server.groups import Group
from nbstep.server.summaries import Summary
from nbstep_runner.contract import RunState
from nbstep_runner.errors import StorageUnavailableError

TABLES: Final = """
CREATE TABLE runs (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL UNIQUE,
    has_record INTEGER NOT NULL,
    version TEXT NOT NULL,
    modified REAL NOT NULL,
    read_at REAL NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    state TEXT,
    started REAL,
    summary BLOB
);
CREATE INDEX in_order ON runs (settled, modified DESC, run_id DESC);
CREATE INDEX by_state ON runs (settled, state, modified DESC, run_id DESC);
CREATE INDEX unread ON runs (modified DESC, run_id DESC) WHERE read_at = 0;
CREATE TABLE labels (name TEXT, value TEXT, key INTEGER, PRIMARY KEY (name, value, key)) WITHOUT ROWID;
CREATE INDEX labels_of ON labels (key);
CREATE TABLE groups (
    path TEXT PRIMARY KEY,
    is_endpoint INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    modified REAL NOT NULL
);
CREATE TABLE listing (ended_at REAL NOT NULL, seconds REAL NOT NULL);
"""
VERSION: Final = zlib.crc32(f"{TABLES}{msgspec.json.schema(Summary)}{version('nbstep')}".encode()) & 0x7FFFFFFF
"""A file of another version of nbstep, or with other members, is made anew."""
MADE_ENDING: Final = f"-{'[0-9]' * 8}-{'[0-9]' * 6}-{'[0-9a-f]' * 6}"
"""How an id ends that was made of a notebook's name and the time, as GLOB has it."""
MADE_LENGTH: Final = 23
BUSY_SECONDS: Final = 10.0
BUSY_PAUSE_SECONDS: Final = 0.005
_COLUMNS: Final = "key, run_id, has_record, version, modified, read_at, settled, summary"
_DAMAGES: Final = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_OF_ANOTHER: Final = "no such "
"""What SQLite says of a file that has not our tables or columns; other errors of that kind are a query's own."""
_NO_PLACE: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
_ANY_SUFFIX: Final = ("", "-wal", "-shm", "-journal")

Place = tuple[float, str]
"""When a run's object was written, and the run's id: what runs are ordered by."""


class IndexRenewedError(Exception):
    """The file was damaged and is now empty: what was asked for has to be asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A run as a listing has it.

    Attributes:
        has_record: Whether its record is there, or only its spec.
        version: Of that object.
        modified: When that object was written.
    """

    run_id: str
    has_record: bool
    version: str
    modified: float


@dataclass(frozen=True, slots=True)
class Row:
    """A run as the index has it.

    Attributes:
        read_at: When its object was read; 0 if not since it changed.
        settled: What was read changes no more, unless a listing says so.
        summary: What was read, as JSON; ``None`` where that was no record.
    """

    key: int
    run_id: str
    has_record: bool
    version: str
    modified: float
    read_at: float
    settled: bool
    summary: bytes | None

    @property
    def place(self) -> Place:
        """Where it stands among the others."""
        return self.modified, self.run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Runs that have something in common.

    Attributes:
        name: Of the notebook, or a label as ``NAME=VALUE``.
        succeeded: How many of them did, as far as their records have been read.
        failed: How many failed or were lost.
        modified: When the last of their objects was written.
    """

    name: str
    runs: int
    succeeded: int
    failed: int
    modified: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs are looked for; all if nothing is said."""

    state: RunState | None = None
    prefix: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    since: float | None = None

    def condition(self) -> tuple[str, list[Any]]:
        """The same of rows that are settled."""
        found: list[tuple[str, list[Any]]] = [("settled = 1 AND summary IS NOT NULL", [])]
        if self.state is not None:
            found.append(("state = ?", [self.state.value]))
        if self.since is not None:
            found.append(("started >= ?", [self.since]))
        found += [("key IN (SELECT key FROM labels WHERE name = ? AND value = ?)", list(each)) for each in self.labels]
        return " AND ".join(text for text, _ in found), [value for _, values in found for value in values]


@dataclass(frozen=True, slots=True)
class Found:
    """What reading a row's objects brought; the row may have changed since."""

    row: Row
    summary: Summary | None
    settled: bool
    started: float = 0.0


class IndexFile:
    """The rows of one folder of runs. Safe to use from several threads, and by several processes.

    Every method raises :class:`IndexRenewedError` where the file was damaged, and ``StorageUnavailableError`` where it
    cannot be used, such as on a full disk.

    Args:
        path: Made if it is missing; ``None``: a file without a name that ends with the process, as it is where the
            path cannot be written to.

    Attributes:
        path: Where it lies.
        renewals: How often it was begun anew by this object.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.renewals = 0
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    @property
    def listed(self) -> tuple[float, float] | None:
        """When the last whole listing ended, and how many seconds it took; ``None`` before the first."""
        with self._using() as connection:
            row: tuple[float, float] | None = connection.execute("SELECT ended_at, seconds FROM listing").fetchone()
        return row

    @property
    def last_key(self) -> int:
        """The key of the youngest row."""
        with self._using() as connection:
            key: int = connection.execute("SELECT coalesce(max(key), 0) FROM runs").fetchone()[0]
        return key

    def take(self, entries: Sequence[Entry]) -> list[int]:
        """Enter what a listing brought; the rows' keys. What has changed has to be read again."""
        with self._using() as connection:
            marks = ", ".join("?" * len(entries))
            rows = connection.execute(
                f"SELECT run_id, key, has_record, version, modified FROM runs WHERE run_id IN ({marks})",  # noqa: S608 - marks alone
                [entry.run_id for entry in entries],
            )
            known = {run_id: (key, rest) for run_id, key, *rest in rows}
            changed = [
                entry
                for entry in entries
                if known.get(entry.run_id, (0, []))[1] != [entry.has_record, entry.version, entry.modified]
            ]
            connection.executemany(
                "INSERT INTO runs (run_id, has_record, version, modified) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (run_id) DO UPDATE SET has_record = excluded.has_record, version = excluded.version, "
                "modified = excluded.modified, read_at = 0, settled = 0",
                [(entry.run_id, entry.has_record, entry.version, entry.modified) for entry in changed],
            )
        return [key for key, _ in known.values()]

    def finish_listing(self, seen: bytearray, groups: Sequence[Group], seconds: float, renewals: int) -> None:
        """Remove the rows whose keys are not marked, of those with a mark at all, and keep that the listing is whole.

        Args:
            seen: A byte for each key, from 0 on, up to the youngest when the listing began.
            groups: Those that it brought.
            seconds: What the listing took.
            renewals: As they were when the listing began: keys of another file say nothing of this one.
        """
        with self._using() as connection:
            if self.renewals != renewals:
                raise IndexRenewedError
            keys = (key for (key,) in connection.execute("SELECT key FROM runs WHERE key < ?", [len(seen)]))
            gone = [(key,) for key in keys if not seen[key]]
            connection.executemany("DELETE FROM labels WHERE key = ?", gone)
            connection.executemany("DELETE FROM runs WHERE key = ?", gone)
            connection.execute("DELETE FROM groups")
            rows = ((each.path, each.is_endpoint, each.runs, each.modified) for each in groups)
            connection.executemany("INSERT INTO groups VALUES (?, ?, ?, ?)", rows)
            connection.execute("DELETE FROM listing")
            connection.execute("INSERT INTO listing VALUES (?, ?)", [time.time(), seconds])

    def rows(self, wanted: Wanted, after: Place | None, most: int) -> list[Row]:
        """Runs in order, the last written first: those that are wanted, and all that may have come to be since.

        Args:
            wanted: What is looked for.
            after: Only those behind this place.
            most: At most so many.
        """
        condition, values = wanted.condition()
        part, bounds = "", list[Any]()
        if after is not None:
            part, bounds = part + " AND (modified, run_id) < (?, ?)", [*bounds, *after]
        if wanted.prefix:
            part += " AND run_id >= ? AND run_id < ?"
            bounds += [wanted.prefix, f"{wanted.prefix}\U0010ffff"]
        query = (
            f"SELECT {_COLUMNS} FROM runs WHERE {condition}{part} UNION ALL "  # noqa: S608 - values are bound
            f"SELECT {_COLUMNS} FROM runs WHERE settled = 0{part} ORDER BY modified DESC, run_id DESC LIMIT ?"
        )
        with self._using() as connection:
            return [Row(*row) for row in connection.execute(query, [*values, *bounds, *bounds, most])]

    def alike(self, *, by_label: bool, most: int) -> list[Alike]:
        """The runs counted by their labels, or by their notebooks as ids are made of them; the last written first."""
        name, source, values = "l.name || '=' || l.value", "labels l JOIN runs r ON r.key = l.key", list[Any]()
        if not by_label:
            name = "CASE WHEN run_id GLOB ? THEN substr(run_id, 1, length(run_id) - ?) ELSE run_id END"
            source, values = "runs r", [f"*{MADE_ENDING}", MADE_LENGTH]
        query = (
            f"SELECT {name} AS alike, count(*), coalesce(sum(state = 'succeeded'), 0), "  # noqa: S608 - names alone
            "coalesce(sum(state IN ('failed', 'lost')), 0), max(modified) AS latest "
            f"FROM {source} GROUP BY alike ORDER BY latest DESC, alike LIMIT ?"
        )
        with self._using() as connection:
            rows = connection.execute(query, [*values, most])
            return [
                Alike(name=name, runs=runs, succeeded=succeeded, failed=failed, modified=modified)
                for name, runs, succeeded, failed, modified in rows
            ]

    def groups(self, *, endpoints: bool) -> list[Group]:
        """The endpoints, or the other groups, that the last whole listing brought, the last written first."""
        query = (
            "SELECT path, is_endpoint, runs, modified FROM groups WHERE is_endpoint = ? ORDER BY modified DESC, path"
        )
        with self._using() as connection:
            rows = connection.execute(query, [endpoints])
            return [
                Group(path=path, is_endpoint=bool(kind), runs=runs, modified=modified)
                for path, kind, runs, modified in rows
            ]

    def unread(self, most: int) -> list[Row]:
        """Runs that have not been read since they changed, the last written first."""
        query = f"SELECT {_COLUMNS} FROM runs WHERE read_at = 0 ORDER BY modified DESC, run_id DESC LIMIT ?"  # noqa: S608 - names alone
        with self._using() as connection:
            return [Row(*row) for row in connection.execute(query, [most])]

    def counts(self) -> dict[RunState | None, int]:
        """How many runs are in each state; ``None`` for those that have not been read yet."""
        query = "SELECT state, count(*) FROM runs WHERE state IS NOT NULL OR read_at = 0 GROUP BY state"
        with self._using() as connection:
            return {state and RunState(state): count for state, count in connection.execute(query)}

    def keep(self, found: Sequence[Found], read_at: float) -> None:
        """Keep what was read of runs, except of those that changed meanwhile."""
        with self._using() as connection:
            for each in found:
                row, summary = each.row, each.summary
                state, data = (summary.state.value, msgspec.json.encode(summary)) if summary else (None, None)
                done = connection.execute(
                    "UPDATE runs SET read_at = ?, settled = ?, state = ?, started = ?, summary = ? "
                    "WHERE key = ? AND run_id = ? AND version = ?",
                    [read_at, each.settled, state, each.started, data, row.key, row.run_id, row.version],
                )
                if done.rowcount:
                    connection.execute("DELETE FROM labels WHERE key = ?", [row.key])
                    labels = summary.labels.items() if summary else ()
                    connection.executemany(
                        "INSERT INTO labels VALUES (?, ?, ?)", [(name, value, row.key) for name, value in labels]
                    )

    def close(self) -> None:
        """Let go of the file until it is used again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def renew(self) -> None:
        """Begin with an empty file."""
        with self._lock:
            self.renewals += 1
            self.close()
            for suffix in _ANY_SUFFIX if self.path else ():
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The connection for one transaction."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                with self._connection:
                    yield self._connection
            except sqlite3.DatabaseError as error:
                if self.path is None or not _is_damage(error):
                    raise StorageUnavailableError(
                        f"the index of runs cannot be used: {error}",
                        hint="Make room where it lies. It is a cache: what is removed is made again.",
                    ) from error
                self.renew()
                raise IndexRenewedError from error

    def _open(self) -> sqlite3.Connection:
        try:
            connection = self._connected()
        except (OSError, sqlite3.OperationalError) as error:
            if self.path is None or getattr(error, "sqlite_errorcode", _NO_PLACE[0]) & 0xFF not in _NO_PLACE:
                raise
            self.path = None
            connection = self._connected()
        connection.execute("PRAGMA synchronous = NORMAL")
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found not in (0, VERSION):
            connection.close()
            self.renew()
            return self._open()
        with connection:
            connection.execute("BEGIN IMMEDIATE")  # of two processes that make it at once, one does
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                for statement in filter(str.strip, TABLES.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")
        return connection

    def _connected(self) -> sqlite3.Connection:
        if self.path is not None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path or "", timeout=BUSY_SECONDS, check_same_thread=False)
        _keep_a_log(connection)
        return connection


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """Have changes written to a log beside the file. SQLite itself waits for nobody else who is doing just that."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                connection.close()
                raise
            time.sleep(BUSY_PAUSE_SECONDS)
        else:
            return


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether it says that the file is not, or no longer, an index of ours."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code in _DAMAGES or (code == sqlite3.SQLITE_ERROR and _OF_ANOTHER in str(error))
