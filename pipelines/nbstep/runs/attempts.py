"""What earlier attempts of a run left beside its output."""

from __future__ import annotations

from contextlib import suppress

from nbstep_runner.contract import ATTEMPTS, VERDICT_ENDING, RunResult, decode
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import Store, sibling


def earlier_verdicts(store: Store, output_uri: str) -> list[RunResult]:
    """The records of the attempts that others have followed, the oldest first. Objects that are no records are none."""
    found = []
    for stat in store.list(sibling(output_uri, f"{ATTEMPTS}/")):
        if stat.uri.endswith(VERDICT_ENDING):
            with suppress(InputNotFoundError, BadInputError):
                found.append(decode(store.read(stat.uri).data, RunResult))
    return sorted(found, key=lambda record: record.attempt)
