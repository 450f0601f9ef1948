"""The verdict of a run whose process was killed, written by its watchdog: no record says for ever that it runs."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from nbstep_runner.contract import StorageOptions, decode, encode
from nbstep_runner.session.attempts import lost
from nbstep_runner.session.earlier import read_existing
from nbstep_runner.stores import open_store

SECONDS: Final = 60
"""What it may take; then its process is ended, and the next attempt or the launcher settles the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What is known of a claim by whoever may have to settle it.

    Attributes:
        uri: The record's place.
        token: The claim's own.
    """

    uri: str
    token: str
    storage: StorageOptions


def settle(claimed: bytes) -> None:
    """Write that a run is lost, if the claim on its output is its own still.

    Only where the store decides between two writers: the next attempt may take the output at the same time.

    Args:
        claimed: A :class:`Claimed`, as JSON.

    Raises:
        NbstepError: The record's place does not take it, or another writer was faster.
    """
    signal.alarm(SECONDS)
    known = decode(claimed, Claimed)
    store = open_store(known.uri, known.storage)
    existing = read_existing(store, known.uri)
    if existing.record is None or existing.claim is None or existing.claim.token != known.token:
        return
    if not store.conditional_write or existing.claim.best_effort:
        return
    record = replace(
        lost(existing.record, "the run's process ended without a verdict"),
        ended_at=datetime.now(UTC).isoformat(),
        warnings=(*existing.record.warnings, "this record was written by the run's watchdog, not by the run"),
    )
    store.write(known.uri, encode(record, indent=1), if_version=existing.version)
