"""Moments as records and backends write them. Whoever can write in a folder of runs can write anything there."""

from __future__ import annotations

from datetime import UTC, datetime


def moment_of(text: str) -> datetime | None:
    """The moment that a text of ISO 8601 says, in UTC; ``None`` where it says none.

    One without a zone is UTC.

    >>> moment_of("2026-01-02T03:04:05+01:00")
    datetime.datetime(2026, 1, 2, 2, 4, 5, tzinfo=datetime.timezone.utc)
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the first and last days overflow in another zone
        return None
