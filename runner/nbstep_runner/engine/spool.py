"""A file in scratch that takes what is too much for memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

COPY_BYTES: Final = 2**20
LOOKED_THROUGH_BYTES: Final = 16 * 2**20
"""A smaller file is not looked through for parts that nobody holds any more."""


class _File:
    """A file without content; its descriptor stays open as long as somebody reads it."""

    def __init__(self, folder: Path) -> None:
        self.descriptor, path = tempfile.mkstemp(prefix="notebook-", suffix=".spool", dir=folder)
        weakref.finalize(self, os.close, self.descriptor)
        self.path = Path(path)
        self.size = 0

    def append(self, data: bytes | memoryview) -> int:
        """Write all of the data at the end; where that was.

        Raises:
            OSError: It does not fit; what was written of it is cut off again.
        """
        view, offset = memoryview(data), self.size
        try:
            while view:
                view = view[os.write(self.descriptor, view) :]
        except OSError:
            os.ftruncate(self.descriptor, offset)
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            raise
        self.size += len(data)
        return offset


@dataclass(eq=False, slots=True, weakref_slot=True, kw_only=True)
class Segment:
    """A part of the spool, which keeps it for as long as somebody holds this.

    Attributes:
        size: In bytes.
        place: In which file, and where; both change together when the file is written anew.
    """

    size: int = 0
    place: tuple[_File, int] = field(init=False, repr=False)


Part = bytes | Segment
S = TypeVar("S", bound=Segment)


class Spool:
    """A file that takes parts one after another; they can be read from any thread while it grows.

    It is looked through whenever it has grown to twice what the parts in it took the last time, or to 16 MB. Where
    parts that nobody holds any more take half as much as the others by then, the others go to a file of their own.

    Attributes:
        rewritten: Whether the parts may stand in another order than the one in which they came.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = _File(folder)
        self._parts: set[weakref.ref[Segment]] = set()
        self._look_at = LOOKED_THROUGH_BYTES
        self.rewritten = False

    @property
    def path(self) -> Path:
        """Where the file is now."""
        return self._file.path

    def append(self, data: bytes | memoryview, segment: S) -> S:
        """Write all of the data at the end, as a part that was not written yet.

        Raises:
            OSError: It does not fit; what was written of it is cut off again.
        """
        if self._file.size + len(data) > self._look_at:
            self._look_through()
        segment.place, segment.size = (self._file, self._file.append(data)), len(data)
        self._parts.add(weakref.ref(segment, self._parts.discard))
        return segment

    def _look_through(self) -> None:
        there = [part() for part in list(self._parts)]  # taken at once: another thread may let go of some meanwhile
        parts = sorted((part for part in there if part is not None), key=lambda part: part.place[1])
        held = sum(part.size for part in parts)
        self._look_at = max(LOOKED_THROUGH_BYTES, 2 * held)
        if 2 * (self._file.size - held) >= held:
            try:
                self._rewrite(parts)
            except OSError:  # there is no room to make some
                self._look_at = max(LOOKED_THROUGH_BYTES, 2 * self._file.size)

    def _rewrite(self, parts: list[Segment]) -> None:
        """Move the parts to a new file.

        Raises:
            OSError: It has no room for them; they stay where they are.
        """
        old, new = self._file, _File(self._folder)
        try:
            places = [self._copied(part, new) for part in parts]
        except OSError:
            new.path.unlink(missing_ok=True)
            raise
        for part, offset in zip(parts, places, strict=True):
            part.place = new, offset
        self._file, self.rewritten = new, True
        old.path.unlink(missing_ok=True)

    def _copied(self, part: Segment, new: _File) -> int:
        offset = new.size
        for piece in self.read(part):
            new.append(piece)
        return offset

    def read(self, segment: Segment) -> Iterator[bytes]:
        """The bytes of a part, a piece at a time.

        Raises:
            OSError: They cannot be read; somebody else has cut the file off.
        """
        file, offset = segment.place
        end = offset + segment.size
        while offset < end:
            data = os.pread(file.descriptor, min(COPY_BYTES, end - offset), offset)
            if not data:
                raise OSError(f"{file.path} is shorter than what was written to it")
            offset += len(data)
            yield data

    def close(self) -> None:
        """Remove the file."""
        self._file.path.unlink(missing_ok=True)
