"""What a store is: five methods and three flags that say what it truly offers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

ABSENT: Final = ""
"""As ``if_version``: write only if nothing is there yet. No store gives an object this version."""

Source = bytes | Path
"""What is written: bytes, or a local file that is streamed without being held in memory."""


@dataclass(frozen=True, slots=True)
class Blob:
    """An object's bytes, and the version that they were read at."""

    data: bytes
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What a store tells of an object without sending it.

    Attributes:
        version: Changes whenever the bytes do: a generation, an ETag, or made of size and times.
        checksum: ``algorithm:hex`` where the store knows one, such as ``crc32c:…`` or ``md5:…``.
        modified: Seconds since the epoch, by the store's clock.
    """

    uri: str
    size: int
    version: str
    checksum: str | None = None
    modified: float | None = None


class Store(Protocol):
    """A place for objects, named by whole URIs.

    Every method raises ``InputNotFoundError`` where there is no such object, ``StorageDeniedError`` where it may not
    be reached, and ``StorageUnavailableError`` once the retry budget is spent. No method is ever half done: an object
    is read whole and checked, or not at all; it is written whole, or the old one stays.
    """

    @property
    def atomic_replace(self) -> bool:
        """A reader sees the old object or the new one, never a part."""

    @property
    def conditional_write(self) -> bool:
        """``if_version`` was checked by the store itself in every write so far, so of two writers one loses.

        Where servers differ it is what is known so far: ask after the first conditional write.
        """

    @property
    def verified(self) -> bool:
        """Of everything written so far the store confirmed the bytes, or they were read back."""

    def read(self, uri: str) -> Blob:
        """The whole object, pinned to one version, its length and checksum verified."""

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Put a whole object in place and return its new version, after the store has confirmed the bytes.

        Args:
            uri: The object's place; missing parent folders are made.
            data: Bytes, or a local file.
            if_version: Write only if the object is still at this version (:data:`ABSENT`: only if there is none).
                Without ``conditional_write`` it is checked just before writing, which is best effort.

        Raises:
            OutputConflictError: The object is at another version.
        """

    def stat(self, uri: str) -> Stat | None:
        """What is known of an object; ``None`` where there is none."""

    def list(self, uri: str) -> Iterator[Stat]:
        """Every object below a prefix that ends with ``/``, at any depth, in order of name; nothing if none."""

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        """Remove an object; one that is already gone is no error.

        Raises:
            OutputConflictError: The object is at another version than ``if_version``.
        """
