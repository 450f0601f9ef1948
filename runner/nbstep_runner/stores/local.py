"""Plain paths and ``file://``: local disks and mounted claims."""

from __future__ import annotations

import errno
import os
import select
import stat as modes
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import (
    BadInputError,
    InputNotFoundError,
    NbstepError,
    OutputConflictError,
    StorageDeniedError,
    StorageUnavailableError,
)
from nbstep_runner.stores import atomicfile, content
from nbstep_runner.stores.protocol import ABSENT, Blob, Source, Stat
from nbstep_runner.stores.uris import checked, is_plain_path

_READ_ATTEMPTS: Final = 5
_PIPE_SECONDS: Final = 30.0
_PIPE_PIECE: Final = 2**20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_BAD_NAME: Final = frozenset({errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL})


class LocalStore:
    """Files. Conditions are checked under the parent folder's lock, by every writer, so that of two one loses.

    Attributes:
        conditional_write: ``False`` once a filesystem was met that has no locks, or none that other clients see;
            conditions are best effort there.
    """

    atomic_replace = True
    verified = True

    def __init__(self) -> None:
        self.conditional_write = True
        self._tidied: set[Path] = set()

    def read(self, uri: str) -> Blob:
        """The whole file, as it was at one moment."""
        path = path_of(uri)
        with _explained("reading", uri):
            for _ in range(_READ_ATTEMPTS):
                blob = _read_once(path)
                if blob is not None:
                    return blob
        raise StorageUnavailableError(f"{uri} is being written in place: it changed while it was read.")

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Replace the file in one step, safe on disk before this returns."""
        path = path_of(uri)
        with _explained("writing", uri):
            path.parent.mkdir(parents=True, exist_ok=True)
            _refuse_special(uri, path)
            self._tidy(path.parent)
            with atomicfile.temporary_copy(path.parent, data) as temporary:
                version = _version(temporary.stat())
                with self._exclusive(path, if_version):
                    _place(temporary, path, if_version)
            atomicfile.sync_folder(path.parent)
        return version

    def stat(self, uri: str) -> Stat | None:
        """Size, version and time of the file; the checksum is not known without reading it."""
        with _explained("checking", uri):
            found = _stat(path_of(uri))
        return _described(uri, found) if found else None

    def list(self, uri: str) -> Iterator[Stat]:
        """Every file below the folder in order of its full name; symbolic links to folders are not followed."""
        with _explained("listing", uri):
            for name, found in _walk(path_of(uri), ""):
                yield _described(uri + (name if is_plain_path(uri) else quote(name)), found)

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        path = path_of(uri)
        with _explained("deleting", uri):
            if not os.path.lexists(path):
                return
            with self._exclusive(path, if_version, gone_is_fine=True):
                path.unlink(missing_ok=True)
            atomicfile.sync_folder(path.parent)

    def check_output(self, uri: str) -> None:
        """Refuse a folder, a device or a symbolic link; see :func:`nbstep_runner.stores.check_output`."""
        with _explained("checking", uri):
            _refuse_special(uri, path_of(uri))

    @contextmanager
    def _exclusive(self, path: Path, if_version: str | None, *, gone_is_fine: bool = False) -> Iterator[None]:
        with atomicfile.folder_lock(path.parent) as locked:
            self.conditional_write = self.conditional_write and locked
            found = _stat(path)
            if if_version is not None and not (found is None and gone_is_fine):
                _expect(path, if_version, _version(found) if found else ABSENT)
            yield

    def _tidy(self, folder: Path) -> None:
        if folder not in self._tidied:
            self._tidied.add(folder)
            atomicfile.remove_leftovers(folder)


def same_file(one: str, other: str) -> bool:
    """Whether two names are one file's, through whatever links."""
    first, second = path_of(one), path_of(other)
    with suppress(OSError):
        if first.samefile(second):
            return True
    return os.path.realpath(first) == os.path.realpath(second)


def is_below(uri: str, folder: str) -> bool:
    """Whether a file's name leads into a folder, or is the folder's own, through whatever links."""
    return Path(os.path.realpath(path_of(uri))).is_relative_to(os.path.realpath(path_of(folder)))


def path_of(uri: str) -> Path:
    """The file that a plain path or a ``file://`` URI (RFC 8089) names; ``..`` of a plain path is resolved.

    Raises:
        BadInputError: The name is refused, or the URI names another host.
    """
    checked(uri)
    if is_plain_path(uri):
        path = Path(uri)
        return path.parent.resolve() / path.name if ".." in path.parts else path
    host, slash, rest = uri.split("://", 1)[1].partition("/")
    if not slash or host.lower() not in {"", "localhost"}:
        raise BadInputError(f"{uri} does not name a file of this machine.", hint="Write file:///folder/name.")
    return Path(unquote(f"/{rest}"))


def _read_once(path: Path) -> Blob | None:
    """The file, or ``None`` where it changed meanwhile. Pipes (``<(command)``) are read to their end."""
    with open(path, "rb", opener=_open_at_once) as stream:
        before = os.fstat(stream.fileno())
        pipe = modes.S_ISFIFO(before.st_mode)
        if not (modes.S_ISREG(before.st_mode) or pipe):
            raise IsADirectoryError(errno.EISDIR, "it is not a file", str(path))
        data = _read_pipe(stream.fileno(), path) if pipe else stream.read(content.READ_LIMIT + 1)
        after = os.fstat(stream.fileno())
    if len(data) > content.READ_LIMIT:
        raise BadInputError(f"{path} is larger than {content.READ_LIMIT // 2**30} GiB.", hint="Give a smaller file.")
    steady = _version(before) == _version(after) and len(data) == after.st_size
    return Blob(data, _version(before)) if steady or pipe else None


def _open_at_once(path: str, flags: int) -> int:
    """A pipe that nobody writes to is opened too, and waited for within bounds."""
    return os.open(path, flags | os.O_NONBLOCK)


def _read_pipe(descriptor: int, path: Path) -> bytes:
    """All that is written to a pipe until its end, or a byte more than is read of anything.

    Raises:
        BadInputError: The end does not come within ``_PIPE_SECONDS``.
    """
    deadline = time.monotonic() + _PIPE_SECONDS
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    parts: list[bytes] = []
    left = content.READ_LIMIT + 1
    while left > 0:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise BadInputError(
                f"{path} is a pipe, and its end did not come within {_PIPE_SECONDS:.0f} s.",
                hint="Write its content to a file first.",
            )
        part = os.read(descriptor, min(left, _PIPE_PIECE))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _place(temporary: Path, path: Path, if_version: str | None) -> None:
    if if_version != ABSENT:
        temporary.replace(path)
        return
    try:
        atomicfile.create(temporary, path)
    except FileExistsError:
        raise OutputConflictError(f"{path} exists already.") from None


def _expect(path: Path, wanted: str, version: str) -> None:
    if wanted == version:
        return
    raise OutputConflictError(
        f"{path} exists already." if wanted == ABSENT else f"{path} was changed or removed meanwhile."
    )


def _refuse_special(uri: str, path: Path) -> None:
    """One look: another may put it there at any moment."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    atomicfile.refuse_special(uri, is_link=modes.S_ISLNK(mode), is_file=modes.S_ISREG(mode))


def _stat(path: Path) -> os.stat_result | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if modes.S_ISREG(found.st_mode) else None


def _version(found: os.stat_result) -> str:
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _described(uri: str, found: os.stat_result) -> Stat:
    return Stat(uri=uri, size=found.st_size, version=_version(found), modified=found.st_mtime)


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Names relative to the first folder, in the order that their whole names sort in."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted((e.name + "/" if e.is_dir(follow_symlinks=False) else e.name) for e in entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in ordered:
        if name.endswith("/"):
            yield from _walk(folder / name, prefix + name)
        elif not atomicfile.is_temporary(name) and (found := _stat(folder / name)):
            yield prefix + name, found


@contextmanager
def _explained(doing: str, uri: str) -> Iterator[None]:
    """Errors of the operating system in words, as the error that says whether a retry helps."""
    try:
        yield
    except OSError as error:
        raise _explain(doing, uri, error) from error


def _explain(doing: str, uri: str, error: OSError) -> NbstepError:
    context = f"{doing} {uri}"
    raise_as: Callable[..., NbstepError] = StorageUnavailableError
    message, hint = f"{uri}: {error.strerror or error}.", ""
    if error.errno in _FULL:
        message, hint = f"There is no room left for {uri}: {error.strerror}.", "Free some space, or raise the quota."
    elif error.errno == errno.EROFS:
        raise_as, message = StorageDeniedError, f"{uri} is on a read-only file system."
        hint = "Write to another folder, or mount this one for writing."
    elif error.errno in _DENIED:
        raise_as, message = StorageDeniedError, f"{uri} may not be reached: {error.strerror}."
        hint = "Check who owns the file and its folder, and the user that the run has."
    elif isinstance(error, FileNotFoundError) and doing != "reading" and _keeps_no_files(path_of(uri)):
        raise_as, message = BadInputError, f"{uri} is on a file system that keeps no files."
        hint = "Name a place on a disk."
    elif isinstance(error, FileNotFoundError) and doing != "reading":
        message = f"While {context}, {error.filename} was removed."
    elif isinstance(error, FileNotFoundError):
        raise_as, message = InputNotFoundError, f"There is no {uri}."
    elif isinstance(error, NotADirectoryError | FileExistsError):
        message, hint = f"{uri} is below something that is not a folder.", "Name another place."
        raise_as = InputNotFoundError if doing == "reading" else BadInputError
    elif error.errno in _BAD_NAME:
        raise_as, message, hint = BadInputError, f"{uri} cannot be used: {error.strerror}.", "Name a file."
    return raise_as(message, hint=hint, context=context)


def _keeps_no_files(path: Path) -> bool:
    """Whether it would be on a file system that shows the system itself as files: that of ``/proc`` or ``/sys``."""
    folder = next(each for each in path.absolute().parents if each.is_dir())
    return folder.stat().st_dev in [top.stat().st_dev for top in (Path("/proc"), Path("/sys")) if top.is_mount()]


def open_backend(_uri: str, _options: StorageOptions, _on_retry: object) -> LocalStore:
    """The store of this machine's files; nothing here is retried."""
    return LocalStore()
