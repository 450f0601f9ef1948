"""Whether a server truly checks ``If-None-Match`` and ``If-Match`` on writes (RFC 9110, 13.1), found out once.

Many servers that speak a protocol ignore its preconditions, and some check them when the head of a request has come
but not again when its body has. So the first write of each kind is made twice at once, with the same bytes and the same
condition: the body of one request is held back until the other has been answered. A server that takes both cannot be
trusted; whichever it took, the bytes in place are those that were to be written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Final, Protocol
from weakref import WeakValueDictionary

from nbstep_runner.errors import NbstepError, OutputConflictError, StorageUnavailableError
from nbstep_runner.stores.content import Upload
from nbstep_runner.stores.protocol import ABSENT, Store
from nbstep_runner.stores.uris import redact

Condition = Mapping[str, str]
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


class Writer(Protocol):
    """What a store does for a write under a condition, which is a header, or nothing where it cannot be one."""

    def expect(self, uri: str, version: str) -> None:
        """Compare the version now, and raise ``OutputConflictError`` where it differs."""

    def send(self, upload: Upload, condition: Condition) -> str:
        """Write, with retries, and return the new version."""

    def send_once(self, upload: Upload, condition: Condition, held: Callable[[], None] | None) -> str:
        """The same without retries; ``held`` is called when the head has been sent and the body has not."""

    def find(self, upload: Upload) -> str | None:
        """The version of what is in place, if it holds what is being written."""


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

    def write(self, writer: Writer, upload: Upload, version: str, condition: Condition) -> str:
        """Write at a version, checked by the server where it does, and just before writing where not.

        Returns:
            The new version.

        Raises:
            OutputConflictError: The object is at another version.
            StorageUnavailableError: Another write of the object by this process did not end in time.
        """
        kind = version == ABSENT
        if not condition:
            self._held[kind] = False
        if self._held.get(kind):
            with suppress(NotSupportedError):  # it was said to, and does not
                return writer.send(upload, condition)
            self._held[kind] = False
        with self._alone(upload.uri):
            writer.expect(upload.uri, version)
            if self._held.get(kind) is not False:
                with suppress(NotSupportedError):
                    return self._distrustful(kind, writer, upload, condition)
                self._held[kind] = False
            return writer.send(upload, {})

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

    def _distrustful(self, kind: bool, writer: Writer, upload: Upload, condition: Condition) -> str:
        """Write with the header, twice at once where that tells something and the server was not asked before."""
        if upload.size > PROBE_BYTES or kind in self._held:
            return writer.send(upload, condition)
        self._held[kind] = None
        second = _Second(lambda: writer.send_once(upload, condition, None))
        try:
            first = writer.send_once(upload, condition, second.run)
        except OutputConflictError:
            if second.version is None:  # another process was faster than both, or an answer was lost
                del self._held[kind]
                if second.refused or (found := writer.find(upload)) is None:
                    raise
                return found
            self._held[kind] = True
            return second.version
        except StorageUnavailableError:
            return second.version or _sent_again(writer, upload, condition)
        if second.version or second.refused:
            self._held[kind] = second.refused
        return first


def _sent_again(writer: Writer, upload: Upload, condition: Condition) -> str:
    """Write with retries what may be in place: neither of two requests was answered."""
    try:
        return writer.send(upload, condition)
    except OutputConflictError:
        if (found := writer.find(upload)) is None:
            raise
        return found


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
