"""What an index keeps of a folder's runs, and answers about them: a row for each, in SQLite."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from nbstep.backends.server.interface import Summary
from nbstep.server.groups import Group
from nbstep.server.index_database import IndexDatabase, IndexRenewedError
from nbstep.server.index_rows import Alike, Entry, Found, Place, Row, Wanted
from nbstep_runner.contract import RunState

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
_COLUMNS: Final = "key, run_id, has_record, version, modified, read_at, settled, summary"


class IndexFile(IndexDatabase):
    """The rows of one folder of runs.

    Every method raises :class:`~nbstep.server.index_database.IndexRenewedError` where the file was damaged, and
    ``StorageUnavailableError`` where it cannot be used.

    Args:
        path: As of :class:`~nbstep.server.index_database.IndexDatabase`.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, TABLES, VERSION)

    @property
    def listed(self) -> tuple[float, float] | None:
        """When the last whole listing ended, and how many seconds it took; ``None`` before the first."""
        with self.using() as connection:
            row: tuple[float, float] | None = connection.execute("SELECT ended_at, seconds FROM listing").fetchone()
        return row

    @property
    def last_key(self) -> int:
        """The key of the youngest row."""
        with self.using() as connection:
            key: int = connection.execute("SELECT coalesce(max(key), 0) FROM runs").fetchone()[0]
        return key

    def take(self, entries: Sequence[Entry]) -> list[int]:
        """Enter what a listing brought; the rows' keys. What has changed has to be read again."""
        with self.using() as connection:
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
        with self.using() as connection:
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
        with self.using() as connection:
            return [Row(*row) for row in connection.execute(query, [*values, *bounds, *bounds, most])]

    def alike(self, *, by_label: bool, most: int) -> list[Alike]:
        """The runs counted by their labels, or by their notebooks as ids are made of them; the last written first."""
        name, source, values = "l.name || '=' || l.value", "labels l JOIN runs r ON r.key = l.key", list[Any]()
        if not by_label:
            name = "CASE WHEN run_id GLOB ? THEN substr(run_id, 1, length(run_id) - ?) ELSE run_id END"
            source, values = "runs r", [f"*{MADE_ENDING}", MADE_LENGTH]
        query = (
            f"WITH found AS (SELECT {name} AS alike, count(*) AS count, "  # noqa: S608 - names alone
            "coalesce(sum(state = 'succeeded'), 0) AS succeeded, "
            "coalesce(sum(state IN ('failed', 'lost')), 0) AS failed, "
            "max(modified) AS latest, r.key AS newest "  # of the row that has the latest time
            f"FROM {source} GROUP BY alike ORDER BY latest DESC, alike LIMIT ?) "
            f"SELECT alike, count, succeeded, failed, {_COLUMNS} FROM found JOIN runs ON key = newest "
            "ORDER BY latest DESC, alike"
        )
        with self.using() as connection:
            return [
                Alike(name=name, runs=runs, succeeded=succeeded, failed=failed, latest=Row(*row))
                for name, runs, succeeded, failed, *row in connection.execute(query, [*values, most])
            ]

    def groups(self, *, endpoints: bool) -> list[Group]:
        """The endpoints, or the other groups, that the last whole listing brought, the last written first."""
        query = (
            "SELECT path, is_endpoint, runs, modified FROM groups WHERE is_endpoint = ? ORDER BY modified DESC, path"
        )
        with self.using() as connection:
            rows = connection.execute(query, [endpoints])
            return [
                Group(path=path, is_endpoint=bool(kind), runs=runs, modified=modified)
                for path, kind, runs, modified in rows
            ]

    def unread(self, most: int) -> list[Row]:
        """Runs that have not been read since they changed, the last written first."""
        query = f"SELECT {_COLUMNS} FROM runs WHERE read_at = 0 ORDER BY modified DESC, run_id DESC LIMIT ?"  # noqa: S608 - names alone
        with self.using() as connection:
            return [Row(*row) for row in connection.execute(query, [most])]

    def counts(self) -> dict[RunState | None, int]:
        """How many runs are in each state; ``None`` for those that have not been read yet."""
        query = "SELECT state, count(*) FROM runs WHERE state IS NOT NULL OR read_at = 0 GROUP BY state"
        with self.using() as connection:
            return {state and RunState(state): count for state, count in connection.execute(query)}

    def keep(self, found: Sequence[Found], read_at: float) -> None:
        """Keep what was read of runs, except of those that changed meanwhile."""
        with self.using() as connection:
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
