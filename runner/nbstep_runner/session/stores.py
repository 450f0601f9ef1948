"""The stores of a process's runs: each opened once, and shared by everything that reads or writes there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import Store, open_store


class StoreSource:
    """Opens stores on demand. Can be used from any thread.

    A process that makes one run after another keeps its stores, so that connections are made and servers are found out
    once, not in each run.
    """

    def __init__(self, options: StorageOptions) -> None:
        self._on_retry: Callable[[str], None] | None = None
        self._options = options
        self._stores: dict[tuple[str, ...], Store] = {}
        self._lock = threading.Lock()

    def __call__(self, uri: str) -> Store:
        """The store that a URI belongs to."""
        key = tuple(uri.split("/", 3)[:3]) if "://" in uri else ()  # scheme, nothing, authority
        with self._lock:
            if key not in self._stores:
                self._stores[key] = open_store(uri, self._options, on_retry=self._tell)
            return self._stores[key]

    @contextmanager
    def lent(self, on_retry: Callable[[str], None]) -> Iterator[None]:
        """For one run, which gets a line for each retry.

        A store that could not verify what an earlier run wrote is opened anew, since it would say so of this run too.
        """
        with self._lock:
            self._stores = {key: store for key, store in self._stores.items() if store.verified}
        self._on_retry = on_retry
        try:
            yield
        finally:
            self._on_retry = None

    def _tell(self, line: str) -> None:
        if on_retry := self._on_retry:
            on_retry(line)
