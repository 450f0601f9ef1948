"""A store that fails on purpose, around any other: for tests of what is built on stores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

from nbstep_runner.stores import Blob, Source, Stat, Store
from nbstep_runner.stores.content import size_of

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, and when.

    Attributes:
        operation: ``read``, ``write``, ``stat``, ``list`` or ``delete``; any when empty.
        suffix: Only for URIs that end with it.
        error: What is raised; nothing when ``None``.
        after: Raised after the operation took effect: the answer is lost.
        delay: Seconds to wait before.
        times: How often it happens; for ever when ``None``.
    """

    operation: str = ""
    suffix: str = ""
    error: Exception | None = None
    after: bool = False
    delay: float = 0.0
    times: int | None = 1


@dataclass(frozen=True, slots=True)
class Call:
    """One operation that a store was asked for; the size is what was written, else 0."""

    operation: str
    uri: str
    size: int = 0


class FaultyStore:
    """Another store with faults.

    Attributes:
        calls: Every operation so far, in order.
    """

    def __init__(
        self, store: Store, faults: Iterable[Fault] = (), *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.calls: list[Call] = []
        self._store = store
        self._left = [(fault, fault.times) for fault in faults]
        self._sleep = sleep
        self._lock = Lock()

    @property
    def atomic_replace(self) -> bool:
        """As the store inside."""
        return self._store.atomic_replace

    @property
    def conditional_write(self) -> bool:
        """As the store inside."""
        return self._store.conditional_write

    @property
    def verified(self) -> bool:
        """As the store inside."""
        return self._store.verified

    def read(self, uri: str) -> Blob:
        return self._do(Call("read", uri), lambda: self._store.read(uri))

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        call = Call("write", uri, size_of(data))
        return self._do(call, lambda: self._store.write(uri, data, if_version=if_version))

    def stat(self, uri: str) -> Stat | None:
        return self._do(Call("stat", uri), lambda: self._store.stat(uri))

    def list(self, uri: str) -> Iterator[Stat]:
        return self._do(Call("list", uri), lambda: self._store.list(uri))

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        self._do(Call("delete", uri), lambda: self._store.delete(uri, if_version=if_version))

    def _do(self, call: Call, action: Callable[[], _Result]) -> _Result:
        fault = self._next(call)
        self._sleep(fault.delay)
        if fault.error and not fault.after:
            raise fault.error
        result = action()
        if fault.error:
            raise fault.error
        return result

    def _next(self, call: Call) -> Fault:
        with self._lock:
            self.calls.append(call)
            for index, (fault, left) in enumerate(self._left):
                if left != 0 and fault.operation in {"", call.operation} and call.uri.endswith(fault.suffix):
                    self._left[index] = fault, None if left is None else left - 1
                    return fault
        return Fault()
