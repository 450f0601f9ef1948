"""Whether a server truly checks ``If-None-Match`` and ``If-Match`` on writes (RFC 9110, 13.1), found out once.

Many servers that speak a protocol ignore its preconditions, and some check them when the head of a request has come
but not again when its body has. So the first write of each kind is made twice at once, with the same bytes and the same
condition: the body of one request is held back until the other has been answered. A server that takes both cannot be
trusted; whichever it took, the bytes in place are those that were to be written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import Final
from weakref import WeakValueDictionary

from nbstep_runner.errors import NbstepError, OutputConflictError, StorageUnavailableError
from nbstep_runner.stores.protocol import ABSENT, Store
from nbstep_runner.stores.uris import redact

PROBE_BYTES: Final = 1 << 20
"""Larger objects are not sent twice to find out; a later, smaller one will."""
LONGEST_WAIT: Final = 30.0
"""Seconds that a write waits for another one of the same object to a server that does not check conditions."""
_HEAD_START: Final = 0.1
"""Seconds in which a server certainly looks at the head of a request whose body is held back."""


def expect(store: Store, uri: str, version: str) -> None:
    """Compare an object's version now with the expected one (:data:`ABSENT`: there is none).

    Raises:
        OutputConflictError: They differ.
    """
    found = store.stat(uri)
    if (found.version if found else ABSENT) != version:
        raise changed(uri)


def changed(uri: str) -> OutputConflictError:
    """The error where an object is not at the version that was expected."""
    return OutputConflictError(f"{redact(uri)} was created, changed or removed by another meanwhile.")


class NotSupportedError(Exception):
    """The server says that it does not know the condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalWrite:
    """One write under a condition, as its store can do it.

    Attributes:
        uri: The object.
        creates: The condition is that there is no object; else that it is at a version.
        expressible: The version can be named in a header.
        check: Compares the version now and raises ``OutputConflictError`` where it differs.
        send: Writes with the condition's header, or without; returns the new version.
        send_held: Once, without retries, with the header: calls what it is given when the head has been sent and the
            body has not, then returns the new version. ``None`` where the object is too large to be sent twice.
        send_once: The same in one go.
        find: The version of what is in place, if it holds the bytes that are to be written.
    """

    uri: str
    creates: bool
    expressible: bool = True
    check: Callable[[], None]
    send: Callable[[bool], str]
    send_once: Callable[[], str]
    find: Callable[[], str | None]
    send_held: Callable[[Callable[[], None]], str] | None


class Conditions:
    """What is known of one server, separately for creating and for replacing.

    Args:
        held: The server is known to check conditions, or not to; ``None``: it is found out.
    """

    def __init__(self, held: bool | None = None) -> None:
        self._held: dict[bool, bool | None] = {} if held is None else {True: held, False: held}
        self._guard = Lock()
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    @property
    def held(self) -> bool:
        """Whether every conditional write so far was checked by the server."""
        return bool(self._held) and all(self._held.values())

    def distrust(self) -> None:
        """A conditional write went around the server's check."""
        self._held[False] = False

    def write(self, work: ConditionalWrite) -> str:
        """Write under the condition, checked by the server where it does, and just before writing where not.

        Returns:
            The new version.

        Raises:
            OutputConflictError: The condition did not hold.
            StorageUnavailableError: Another write of the object by this process did not end in time.
        """
        if not work.expressible:
            self._held[work.creates] = False
        if self._held.get(work.creates):
            with suppress(NotSupportedError):  # it was said to, and does not
                return work.send(True)  # noqa: FBT003 - the header is sent
            self._held[work.creates] = False
        with self._alone(work.uri):
            work.check()
            if self._held.get(work.creates) is not False:
                with suppress(NotSupportedError):
                    return self._distrustful(work)
                self._held[work.creates] = False
            return work.send(False)  # noqa: FBT003 - the header is left out

    @contextmanager
    def _alone(self, uri: str) -> Iterator[None]:
        """One writer of an object at a time, as far as this process goes; other objects wait for nobody."""
        with self._guard:
            lock = self._locks.setdefault(uri, Lock())
        if not lock.acquire(timeout=LONGEST_WAIT):
            raise StorageUnavailableError(f"another write of {redact(uri)} has not ended in {LONGEST_WAIT:.0f} s.")
        try:
            yield
        finally:
            lock.release()

    def _distrustful(self, work: ConditionalWrite) -> str:
        """Write with the header, twice at once where that tells something and the server was not asked before."""
        if work.send_held is None or work.creates in self._held:
            return work.send(True)  # noqa: FBT003 - the header is sent
        self._held[work.creates] = None
        second = _Second(work.send_once)
        try:
            first = work.send_held(second.run)
        except OutputConflictError:
            if second.version is None:  # another process was faster than both, or an answer was lost
                del self._held[work.creates]
                if second.refused or (found := work.find()) is None:
                    raise
                return found
            self._held[work.creates] = True
            return second.version
        except StorageUnavailableError:
            return second.version or work.send(True)  # noqa: FBT003 - the header is sent, and this time retried
        if second.version or second.refused:
            self._held[work.creates] = second.refused
        return first


class _Second:
    """The one of two overlapping writes that is sent while the body of the other is held back.

    Attributes:
        version: What it wrote, if it did.
        refused: Its condition did not hold. Any other failure tells nothing.
    """

    def __init__(self, send: Callable[[], str]) -> None:
        self._send = send
        self.version: str | None = None
        self.refused = False

    def run(self) -> None:
        time.sleep(_HEAD_START)
        try:
            self.version = self._send()
        except OutputConflictError:
            self.refused = True
        except (NbstepError, NotSupportedError):
            pass
