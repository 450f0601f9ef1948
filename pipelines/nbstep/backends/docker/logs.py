"""A container's log as lines: each once, in order, also after the connection broke."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from nbstep.backends.docker.engine import Engine
from nbstep.errors import ClusterUnavailableError

AWAY_SECONDS: Final = 60.0
"""For so long a daemon that answers no more, such as one that is started again, is waited for."""
PAUSE_SECONDS: Final = 1.0


class Joiner:
    """Makes lines of the daemon's pieces.

    The daemon cuts lines at 16 KiB and puts the time before every piece. Pieces that came before a connection broke
    come again with the next one, and are recognised by their times.
    """

    def __init__(self) -> None:
        self._newest = b""
        self._rest: list[bytes] = []

    @property
    def since(self) -> float | None:
        """The second from which to ask for more."""
        if not self._newest:
            return None
        return datetime.fromisoformat(f"{self._newest[:19].decode()}+00:00").timestamp()

    def feed(self, pieces: Iterator[bytes | None]) -> Iterator[bytes | None]:
        """The lines that are complete with these pieces; ``None`` where none has come for a while."""
        known = self._newest
        for piece in pieces:
            if piece is None:
                yield None
                continue
            stamp, _, text = piece.partition(b" ")
            if known and _sortable(stamp) <= _sortable(known):
                continue
            self._newest = stamp
            self._rest.append(text.removesuffix(b"\n"))
            if text.endswith(b"\n"):
                yield self._joined()

    def end(self) -> Iterator[bytes]:
        """The line that was begun and never ended."""
        if self._rest:
            yield self._joined()

    def _joined(self) -> bytes:
        line, self._rest = b"".join(self._rest), []
        return line


def lines(daemon: Engine, name: str, *, follow: bool) -> Iterator[bytes | None]:
    """The log, to the container's end if ``follow``, and then what it wrote to stderr; ``None``: nothing new yet.

    Raises:
        ClusterUnavailableError: The daemon does not come back.
        RunNotFoundError: There is no such container.
    """
    joiner, away_since = Joiner(), None
    daemon.inspect(name)
    while True:
        try:
            for line in joiner.feed(daemon.output(name, follow=follow, since=joiner.since)):
                away_since = None
                yield line
            if not follow or _over(daemon, name):
                break
            away_since = None
        except ClusterUnavailableError:
            away_since = away_since or time.monotonic()
            if time.monotonic() - away_since > AWAY_SECONDS:
                raise
        time.sleep(PAUSE_SECONDS)
    if _over(daemon, name):
        yield from joiner.end()
        yield from daemon.errors(name).splitlines()


def _over(daemon: Engine, name: str) -> bool:
    return daemon.inspect(name)["State"]["Status"] in {"exited", "dead"}


def _sortable(stamp: bytes) -> bytes:
    """RFC 3339 with nanoseconds, whose trailing zeros may be left out."""
    return stamp.rstrip(b"Z").ljust(len("2026-01-01T00:00:00.000000000"), b"0")
