"""Putting a run's inputs into storage: once, so that a run's name never comes to mean two things."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from nbstep.backends.stores import store_of
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import NbstepError, OutputConflictError
from nbstep_runner.stores import ABSENT, Source, Store, checksum

AT_ONCE = 8


def upload(objects: Sequence[tuple[str, Source]], storage: StorageOptions) -> bool:
    """Put every object in its place, the last one after all others.

    Objects that are there already, with the same bytes, are left alone: an upload can be repeated.

    Returns:
        Whether the last one was not there.

    Raises:
        OutputConflictError: Another run of the same name lies there.
        StorageDeniedError, StorageUnavailableError: The store does not take it.
    """
    *first, (last_uri, last) = objects
    store = store_of(last_uri, storage)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-upload") as pool:
        list(pool.map(lambda each: put_once(store, *each), first))
    return put_once(store, last_uri, last)


def withdraw(objects: Sequence[tuple[str, Source]], storage: StorageOptions) -> None:
    """Take back what was put, the last one first, as far as the store lets go of it."""
    for uri, _ in reversed(objects):
        with suppress(NbstepError):
            store_of(uri, storage).delete(uri)


def put_once(store: Store, uri: str, data: Source) -> bool:
    """Write an object where there is none; the same bytes there already are as good.

    Returns:
        Whether there was none.

    Raises:
        OutputConflictError: Other bytes lie there.
    """
    write = partial(store.write, uri, data, if_version=ABSENT)
    try:
        write()
    except OutputConflictError:
        if checksum(store.read(uri).data) == checksum(data):
            return False
        raise OutputConflictError(
            f"another run of this name lies there: {uri} differs",
            hint="Choose another run id, or leave it out and get a new one.",
        ) from None
    return True
