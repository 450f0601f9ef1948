"""Putting a file in place whole: temporary file in the same folder, fsync, rename or link, fsync of the folder.

Writers that are killed leave a temporary file, named so that it is known as one: it is never listed as an object, and
the next writer in that folder removes it once it is older than :data:`LEFTOVER_SECONDS`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from nbstep_runner.errors import BadInputError
from nbstep_runner.stores import content
from nbstep_runner.stores.protocol import Source

TEMP_PREFIX: Final = ".nbstep-"
TEMP_SUFFIX: Final = ".tmp"
LEFTOVER_SECONDS: Final = 3600.0
"""A temporary file that nobody has written to for this long belongs to a writer that is gone."""
LOCK_SECONDS: Final = 30.0
"""Locks are held for a rename; one that is held this long belongs to a process that is stopped."""
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
_PER_CLIENT: Final = re.compile(r"nfs.*|cifs|smb3|fuse(\..*)?|9p|virtiofs|lustre|afs|beegfs|gpfs|prl_fs|vboxsf")
"""The types of filesystems that lock a folder for one client alone; ``fuseblk`` is a disk of this machine."""
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def is_temporary(name: str) -> bool:
    """Whether a file name is one of ours that is not yet an object."""
    return name.startswith(TEMP_PREFIX) and name.endswith(TEMP_SUFFIX)


@contextmanager
def temporary_copy(folder: Path, data: Source) -> Iterator[Path]:
    """The data in a new file of the folder, safe on disk; removed at the end unless it was renamed away."""
    path = folder / f"{TEMP_PREFIX}{os.urandom(8).hex()}{TEMP_SUFFIX}"
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o666)  # the umask decides, as for any file that a user makes
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _fill(stream, data)
            stream.flush()
            _stamp(stream.fileno())
            os.fsync(stream.fileno())
        yield path
    finally:
        with suppress(OSError):
            path.unlink()


def _fill(stream: BinaryIO, data: Source) -> None:
    with content.opened(data) as source:
        while chunk := source.read(content.CHUNK):
            stream.write(chunk)


def _stamp(descriptor: int) -> None:
    """Set a time finer than the kernel's clock tick, so that two writes within a tick have two versions."""
    now = time.time_ns()
    with suppress(OSError):  # some network filesystems set times only themselves
        os.utime(descriptor, ns=(now, now))


def write_file(target: Path, data: bytes) -> None:
    """Put a fetched file in place of what is there, whole; missing folders are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_copy(target.parent, data) as temporary:
        temporary.replace(target)


def create(temporary: Path, target: Path) -> None:
    """Give the file its name only if nobody has it.

    Raises:
        FileExistsError: The name is taken.
    """
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        temporary.rename(target)  # no links on this filesystem: the folder's lock has to do


def sync_folder(folder: Path) -> None:
    """Make the folder's names safe on disk, where the filesystem knows how."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some network filesystems refuse fsync of a folder; the rename is theirs to keep
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def folder_lock(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock; ``False`` where the filesystem has none that every writer of the folder sees.

    Raises:
        TimeoutError: Another process has held it for :data:`LOCK_SECONDS`.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _lock(descriptor) and not _locks_per_client(os.fstat(descriptor).st_dev)
    finally:
        os.close(descriptor)  # closing releases the lock


def _lock(descriptor: int) -> bool:
    give_up = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise TimeoutError(errno.ETIMEDOUT, "another process holds the folder's lock") from None
            time.sleep(0.005)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise
        else:
            return True


def _locks_per_client(device: int) -> bool:
    """Whether a device's filesystem knows no locks of folders, so that the kernel of each client makes its own."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        return False
    return _PER_CLIENT.fullmatch(filesystem_of(device, mounts)) is not None


def filesystem_of(device: int, mounts: str) -> str:
    """The type of a device's filesystem by the text of ``/proc/self/mountinfo`` (proc(5)); empty if it is not there."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split(" ")[2:3] == [number]:
            return kind.partition(" ")[0]
    return ""


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of writers that are gone. Best effort: another process may be doing the same."""
    oldest = time.time() - LEFTOVER_SECONDS
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if is_temporary(entry.name) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    Path(entry.path).unlink()


def refuse_special(name: str, *, is_link: bool, is_file: bool) -> None:
    """Refuse an output in whose place lies what no file can replace.

    Raises:
        BadInputError: A link, a folder or a device.
    """
    if is_link:
        raise BadInputError(f"{name} is a symbolic link, and is refused as an output.", hint="Name the file itself.")
    if not is_file:
        raise BadInputError(f"{name} is a folder or a device, not a file.", hint="Name a file as the output.")
