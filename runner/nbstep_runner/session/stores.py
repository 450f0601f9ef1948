"""The stores of a process's runs: each opened once, and shared by everything that reads or writes there."""

from __future__ import annotations

import threading
from collections.abc import Callable

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import Store, open_store


class StoreSource:
    """Opens stores on demand. Can be used from any thread.

    A process that makes one run after another keeps its stores, so that connections are made and servers are found out
    once, not in each run.

    Args:
        options: How the stores behave.

    Attributes:
        on_retry: Gets one line for each retry; the run under way sets it.
    """

    def __init__(self, options: StorageOptions) -> None:
        self.on_retry: Callable[[str], None] = lambda _: None
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

    def _tell(self, line: str) -> None:
        self.on_retry(line)
