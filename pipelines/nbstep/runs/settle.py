"""The verdict that a run could not write itself, written for it: everybody reads the same from then on."""

from __future__ import annotations

from nbstep_runner.contract import RunResult, decode, encode
from nbstep_runner.errors import BadInputError, InputNotFoundError, OutputConflictError, StorageDeniedError
from nbstep_runner.stores import Store


def settle(store: Store, uri: str, verdict: RunResult, version: str) -> RunResult | None:
    """Put a verdict in a record's place; if the run wrote its own in the last moment, that one stands.

    Args:
        store: Of the record.
        uri: Its place.
        verdict: What the launcher makes of the run's end.
        version: Of what is known to lie there.

    Returns:
        The record that stands; ``None`` where the run has written there meanwhile, and so goes on.
    """
    try:
        store.write(uri, encode(verdict, indent=1), if_version=version)
    except OutputConflictError:
        return _own_verdict(store, uri)
    except StorageDeniedError:
        pass  # whoever may only read still learns the verdict
    return verdict


def _own_verdict(store: Store, uri: str) -> RunResult | None:
    try:
        record = decode(store.read(uri).data, RunResult)
    except (InputNotFoundError, BadInputError):
        return None
    return record if record.state.final else None
