"""What lies in a folder that a notebook writes to: its regular files, and what is refused there.

Made for whatever stores such a folder: the state that survives (``nbstep_runner.state``), the files that come back. The
notebook may be at work in it meanwhile: no link is followed at any level, nothing blocks, and a file that changes while
it is read is told of.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

DEEPEST: Final = 64
"""Folders in one another; each costs a descriptor while it is walked."""
PIECE_BYTES: Final = 2**20
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TooManyEntriesError(Exception):
    """The folder holds more than whoever looked was ready to take in."""


class ChangedError(Exception):
    """A file is another than was found, or was written to while it was read."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file.

    Attributes:
        path: Relative to the folder, with ``/`` between segments; see :func:`is_plain`.
        mode: Its permissions.
        modified_ns: Nanoseconds since the epoch.
        mark: Changes when the file is replaced or written to: device, inode, size, and the times of the last change.
    """

    path: str
    size: int
    mode: int
    modified_ns: int
    mark: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """What is not a file or folder with a plain name; ``path`` is fit to be shown, ``reason`` says what it is."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """A folder at one moment; everything in order of its path.

    Attributes:
        unread: What could not be looked at: folders that are closed to us, and what lies in such a one.
    """

    files: tuple[FoundFile, ...]
    folders: tuple[str, ...]
    refused: tuple[Refused, ...]
    unread: tuple[Refused, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def is_plain(path: str) -> bool:
    """Whether a relative path stays in its folder and can be written down everywhere.

    Its segments are neither empty nor ``.`` or ``..``, and of printable characters without a backslash.
    """
    return path.isprintable() and "\\" not in path and not {"", ".", ".."}.intersection(path.split("/"))


def take_inventory(folder: Path, *, most: int, enter: Callable[[str], bool] = lambda _: True) -> Inventory:
    """Everything in a folder, at any depth; what vanishes meanwhile is not there.

    Args:
        folder: May be a link itself.
        most: How many entries are taken in at most.
        enter: Whether a folder is looked into, by its path.

    Raises:
        TooManyEntriesError: There are more.
        OSError: The folder itself cannot be read.
    """
    files: list[FoundFile] = []
    folders: list[str] = []
    refused: list[Refused] = []
    unread: list[Refused] = []
    root = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
    try:
        for path, found in _walk(root, "", enter):
            if isinstance(found, OSError):
                unread.append(_refused(path, (found.strerror or str(found)).lower()))
            elif reason := _reason_against(path, found):
                refused.append(_refused(path, reason))
            elif modes.S_ISDIR(found.st_mode):
                folders.append(path)
            else:
                mode = modes.S_IMODE(found.st_mode)
                files.append(FoundFile(path, found.st_size, mode, found.st_mtime_ns, _mark(found)))
            if len(files) + len(folders) + len(refused) + len(unread) > most:
                raise TooManyEntriesError
    finally:
        os.close(root)
    files.sort(key=lambda file: file.path)
    return Inventory(tuple(files), tuple(sorted(folders)), tuple(refused), tuple(unread))


@contextmanager
def open_found(folder: Path, file: FoundFile) -> Iterator[BinaryIO]:
    """A file that was found, open for reading; no segment of its path is followed if it has become a link.

    Raises:
        ChangedError: It is gone or another, or was written to by the end of the context.
        OSError: It cannot be read.
    """
    descriptor = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
    try:
        *above, name = file.path.split("/")
        for segment in above:
            inner = os.open(segment, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        stream = os.fdopen(os.open(name, _FILE, dir_fd=descriptor), "rb", buffering=0)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ChangedError(file.path) from error
    finally:
        os.close(descriptor)
    with stream:
        _expect(file, stream)
        yield stream
        _expect(file, stream)


def pieces_of(folder: Path, file: FoundFile, size: int = PIECE_BYTES) -> Iterator[bytes]:
    """A file's bytes, ``size`` at a time; a file without bytes has no pieces.

    Raises:
        ChangedError: Its bytes are not those of one moment: forget what came.
        OSError: It cannot be read.
    """
    with open_found(folder, file) as stream:
        left = file.size
        while left:
            piece = _exactly(stream, min(size, left))
            if not piece:
                raise ChangedError(file.path)
            left -= len(piece)
            yield piece


def _refused(path: str, reason: str) -> Refused:
    return Refused(path.encode("utf-8", "backslashreplace").decode(), reason)


def _walk(folder: int, prefix: str, enter: Callable[[str], bool]) -> Iterator[tuple[str, os.stat_result | OSError]]:
    """Each entry's path, with what it is or why that cannot be told."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        path = prefix + name
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield path, error
            continue
        yield path, found
        if modes.S_ISDIR(found.st_mode) and not _reason_against(path, found) and enter(path):
            yield from _below(folder, name, path, enter)


def _below(
    folder: int, name: str, path: str, enter: Callable[[str], bool]
) -> Iterator[tuple[str, os.stat_result | OSError]]:
    try:
        inner = os.open(name, _FOLDER, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):  # gone since, or something else by now
        return
    except OSError as error:
        yield path, error
        return
    try:
        yield from _walk(inner, f"{path}/", enter)
    except OSError as error:  # it can be opened, and not be read
        yield path, error
    finally:
        os.close(inner)


def _reason_against(path: str, found: os.stat_result) -> str:
    """Why an entry is refused; empty if it is not."""
    if not is_plain(path):
        return "its name has characters that cannot be written down everywhere"
    if modes.S_ISLNK(found.st_mode):
        return "it is a link"
    if not (modes.S_ISREG(found.st_mode) or modes.S_ISDIR(found.st_mode)):
        return "it is a pipe, a socket or a device"
    if modes.S_ISDIR(found.st_mode) and path.count("/") >= DEEPEST:
        return f"it lies more than {DEEPEST} folders deep"
    return ""


def _mark(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _expect(file: FoundFile, stream: BinaryIO) -> None:
    found = os.fstat(stream.fileno())
    if not modes.S_ISREG(found.st_mode) or _mark(found) != file.mark:
        raise ChangedError(file.path)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    """So many bytes, or fewer at the end of the file: a raw read may return less."""
    parts: list[bytes] = []
    while count and (part := stream.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
