"""Whether a server truly checks ``If-None-Match`` and ``If-Match`` on writes (RFC 9110, 13.1), found out once.

Many servers that speak a protocol ignore its preconditions, and answer as if they had held. The first conditional
write to such a server is followed by one request more: the same bytes with the same condition, which can no longer
hold. A server that refuses it can be trusted; one that accepts it has only been sent the same bytes again.
"""

from __future__ import annotations

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


def expect(store: Store, uri: str, version: str) -> None:
    """Compare an object's version now with the expected one (:data:`ABSENT`: there is none).

    Raises:
        OutputConflictError: They differ.
    """
    found = store.stat(uri)
    if (found.version if found else ABSENT) != version:
        raise OutputConflictError(f"{redact(uri)} was created, changed or removed by another meanwhile.")


class NotSupportedError(Exception):
    """The server says that it does not know the condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalWrite:
    """One write under a condition, as its store can do it.

    Attributes:
        uri: The object.
        check: Compares the version now and raises ``OutputConflictError`` where it differs.
        send: Writes with the condition's header, or without; returns the new version.
        send_again: Once, without retries, with the header; returns the new version.
        can_tell: Whether the condition is one that must fail now, given the new version.
    """

    uri: str
    check: Callable[[], None]
    send: Callable[[bool], str]
    send_again: Callable[[], str]
    can_tell: Callable[[str], bool]


class Conditions:
    """What is known of one server.

    Attributes:
        held: The server checks conditions; ``None`` while that is not known.
    """

    def __init__(self, held: bool | None = None) -> None:
        self.held = held
        self._guard = Lock()
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    def write(self, work: ConditionalWrite) -> str:
        """Write under the condition, checked by the server where it does, and just before writing where not.

        Returns:
            The new version.

        Raises:
            OutputConflictError: The condition did not hold.
            StorageUnavailableError: Another write of the object by this process did not end in time.
        """
        if self.held:
            with suppress(NotSupportedError):  # it was said to, and does not
                return work.send(True)  # noqa: FBT003 - the header is sent
            self.held = False
        with self._alone(work.uri):
            return self._distrustful(work)

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
        work.check()
        if self.held is not False:
            with suppress(NotSupportedError):
                return self._learned(work, work.send(True))  # noqa: FBT003 - the header is sent
            self.held = False
        return work.send(False)  # noqa: FBT003 - the header is left out

    def _learned(self, work: ConditionalWrite, version: str) -> str:
        if self.held is None and work.can_tell(version):
            try:
                version = work.send_again()
                self.held = False
            except OutputConflictError:
                self.held = True
            except NbstepError:  # the network failed: another write will tell
                pass
        return version
