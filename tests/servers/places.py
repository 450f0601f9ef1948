"""A store behind a proxy that can fail, and the same objects reached without it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import Store, open_store
from servers.faultproxy import Proxy


@dataclass
class Place:
    """Where a test reads and writes.

    Attributes:
        folder: As the store under test names it.
        proxy: What stands between that store and the server.
        outside: The data as it truly is: a store that goes to the server itself.
        outside_folder: As that one names it.
        lines: What the store under test said of its retries.
    """

    scheme: str
    folder: str
    proxy: Proxy
    outside: Store
    outside_folder: str
    lines: list[str] = field(default_factory=list)
    on_retry: Callable[[], object] | None = None

    def store(self, seconds: float = 20.0, **options: object) -> Store:
        settings = StorageOptions(retry_seconds=seconds, allow_private_addresses=True, **options)  # type: ignore[arg-type]  # as the dataclass says
        return open_store(self.folder, settings, on_retry=self._said)

    def _said(self, line: str) -> None:
        self.lines.append(line)
        if self.on_retry:
            self.on_retry()

    def uri(self, name: str = "a.ipynb") -> str:
        return self.folder + name

    def truth(self, name: str = "a.ipynb") -> bytes:
        return self.outside.read(self.outside_folder + name).data

    def put(self, data: bytes, name: str = "a.ipynb") -> str:
        return self.outside.write(self.outside_folder + name, data)

    def names(self) -> list[str]:
        return [stat.uri.removeprefix(self.outside_folder) for stat in self.outside.list(self.outside_folder)]


@contextmanager
def within(seconds: float, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """The time that work takes on a machine that has nothing else to do; a busy one has three times as long, and 5 s.

    For work that is bound by the processor ``time.process_time`` is the clock that others do not slow down.
    """
    started = clock()
    yield
    assert clock() - started < (3 * seconds + 5 if clock is time.monotonic else seconds)
