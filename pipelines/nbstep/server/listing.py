"""A page of the runs of a folder: filters, a cursor, and an end to what one page costs."""

from __future__ import annotations

import base64
import binascii
import time
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final

import msgspec

from nbstep.backends.server.interface import Page, Summary
from nbstep.server.folders import RunFolder
from nbstep.server.index import is_stale
from nbstep.server.index_rows import Place, Row, Wanted, started, timestamp
from nbstep.server.problems import usage
from nbstep_runner.contract import RunState

BATCH: Final = 64
"""How many runs are looked at together, at least, where not all may be what is wanted."""
MOST_LABELS: Final = 20
"""SQLite takes conditions of bounded depth."""


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client asks a list for.

    Attributes:
        cursor: Where the page before ended, as it said itself.
        notebook: Only runs whose ids begin so, as the ids of a notebook's runs do.
        label: Only runs with all of these, each ``NAME=VALUE``.
        since: Only runs that started then or later; a day alone begins at midnight, UTC.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: str = ""
    state: RunState | None = None
    notebook: str = ""
    label: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_LABELS)] = ()
    since: datetime | None = None

    @property
    def wanted(self) -> Wanted:
        """What the index is asked for."""
        since = None if self.since is None else timestamp(self.since)
        return Wanted(state=self.state, prefix=self.notebook, labels=self.labels, since=since)

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """Names and values."""
        return tuple((name, value) for name, _, value in (each.partition("=") for each in self.label))

    def takes(self, summary: Summary) -> bool:
        """Whether a run is one of those that are asked for."""
        return (
            self.state in (None, summary.state)
            and summary.id.startswith(self.notebook)
            and all(summary.labels.get(name) == value for name, value in self.labels)
            and (self.since is None or started(summary) >= timestamp(self.since))
        )


def page(folder: RunFolder, query: Query, most_records: int) -> Page:
    """The page that a query asks for.

    A run whose record was written since the page before is ahead of that page, not on the next.

    Raises:
        Problem: The cursor is none of ours, or the folder is listed for the first time and that takes long, or its
            index was damaged twice.
        NbstepError: The folder cannot be listed or read.
    """
    after = _place(query.cursor) if query.cursor else None
    return folder.index.told(partial(_page, folder, query, after, most_records))


def _page(folder: RunFolder, query: Query, after: Place | None, left: int, listed_at: float) -> Page:
    index, wanted = folder.index, query.wanted
    runs: list[Summary] = []
    while left > 0 and len(runs) < query.limit:
        rows = index.file.rows(wanted, after, max(BATCH, query.limit - len(runs)))
        affordable, left = _affordable(rows, left)
        for row, summary in index.look_at(affordable):
            after = row.place
            if summary is not None and query.takes(summary):
                runs.append(msgspec.structs.replace(summary, folder=folder.name))
            if len(runs) == query.limit:
                break
        if not rows:
            break
    more = after is not None and bool(index.file.rows(wanted, after, 1))
    return Page(
        runs=tuple(runs),
        next=_cursor(after) if more and after is not None else None,
        listed_at=datetime.fromtimestamp(listed_at, UTC).isoformat(timespec="seconds"),
    )


def _affordable(rows: list[Row], left: int) -> tuple[list[Row], int]:
    """The first of the rows, for which no more records are read than may be, and how many may be after them."""
    now, taken = time.time(), []
    for row in rows:
        stale = is_stale(row, now)
        if stale and not left:
            break
        left -= stale
        taken.append(row)
    return taken, left


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place(cursor: str) -> Place:
    try:
        place: Place = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=Place)
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError):
        raise usage("the cursor is none that a list gave", hint="Begin without one.") from None
    return place
