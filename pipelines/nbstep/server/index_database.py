"""The SQLite file of an index. It is a cache: one that is damaged, or of another version, is made anew."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nbstep_runner.errors import StorageUnavailableError

BUSY_SECONDS: Final = 10.0
BUSY_PAUSE_SECONDS: Final = 0.005
_DAMAGES: Final = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_OF_ANOTHER: Final = "no such "
"""What SQLite says of a file that has not our tables or columns; other errors of that kind are a query's own."""
_NO_PLACE: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
_ANY_SUFFIX: Final = ("", "-wal", "-shm", "-journal")


class IndexRenewedError(Exception):
    """The file was damaged and is now empty: what was asked for has to be asked again."""


class IndexDatabase:
    """A file with some tables. Safe to use from several threads, and by several processes.

    Args:
        path: Made if it is missing; ``None``: a file without a name that ends with the process, as it is where the
            path cannot be written to.
        tables: The statements that make them.
        version: Of what is kept in them: a file of another one is made anew.

    Attributes:
        path: Where it lies.
        renewals: How often it was begun anew by this object.
    """

    def __init__(self, path: Path | None, tables: str, version: int) -> None:
        self.path = path
        self.renewals = 0
        self._tables = tables
        self._version = version
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

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
    def using(self) -> Iterator[sqlite3.Connection]:
        """The connection for one transaction.

        Raises:
            IndexRenewedError: The file was damaged.
            StorageUnavailableError: It cannot be used, such as on a full disk.
        """
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
        if found not in (0, self._version):
            connection.close()
            self.renew()
            return self._open()
        with connection:
            connection.execute("BEGIN IMMEDIATE")  # of two processes that make it at once, one does
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                for statement in filter(str.strip, self._tables.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {self._version}")
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
