"""Every other scheme that an installed fsspec package serves: whole objects only, and nothing promised beyond that."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, cached_property
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.registry import known_implementations

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, InputNotFoundError, NbstepError, StorageDeniedError
from nbstep_runner.stores import content
from nbstep_runner.stores.atomicfile import TEMP_PREFIX, TEMP_SUFFIX, is_temporary
from nbstep_runner.stores.conditions import expect
from nbstep_runner.stores.protocol import Blob, Source, Stat
from nbstep_runner.stores.retrying import Retrier, TransientError, Try
from nbstep_runner.stores.statuses import explained
from nbstep_runner.stores.uris import checked, redact

_Result = TypeVar("_Result")
_WRAPPERS: Final = {"async_wrapper", "asyncwrapper", "blockcache", "cached", "dir", "dirfs", "filecache", "simplecache"}
_INSIDE_OTHERS: Final = {"data", "generic", "git", "libarchive", "reference", "tar", "zip"}
_ELSEWHERE: Final = {"asynclocal", "dask", "jlab", "jupyter", "local", "pyscript"}
_SECOND_NAMES: Final = {"gcs", "s3a", "ssh"}
_FTP: Final = {"ftp", "implicit-ftps"}
"""Its servers differ in names, resumption and renaming, and its one connection serves one thread."""
_REFUSED: Final = _WRAPPERS | _INSIDE_OTHERS | _ELSEWHERE | _SECOND_NAMES | _FTP
"""Besides, names that reach other filesystems through themselves, or that would go around our own backends' checks."""
_NEEDS: Final = {
    "arrow_hdfs": "pyarrow",
    "dbfs": "requests",
    "gist": "requests",
    "github": "requests",
    "hdfs": "pyarrow",
    "smb": "smbprotocol",
    "webhdfs": "requests",
}
"""What those filesystems that fsspec ships itself need besides."""


@cache
def schemes() -> tuple[str, ...]:
    """The schemes whose package is here, found without importing any of them."""
    known = {name for name, entry in known_implementations.items() if _is_here(_NEEDS.get(name) or entry["class"])}
    added = {entry.name for entry in entry_points(group="fsspec.specs")}
    return tuple(sorted((known | added) - _REFUSED))


def _is_here(dotted: str) -> bool:
    package = dotted.split(".", 1)[0]
    return package != "fsspec" and find_spec(package) is not None


_VERSION_KEYS: Final = ("etag", "ETag", "generation", "version_id", "content_md5", "checksum", "md5")
_TIME_KEYS: Final = ("modify", "mtime", "last_modified", "LastModified", "modified", "updated", "timeModified")
_STATUS_KEYS: Final = ("status_code", "status", "code")
_MEANINGS: Final[tuple[tuple[tuple[type[Exception], ...], type[NbstepError], str], ...]] = (
    ((FileNotFoundError,), InputNotFoundError, "There is no such object, while"),
    ((PermissionError,), StorageDeniedError, "The server does not allow"),
    ((NotImplementedError, ImportError), BadInputError, "The filesystem cannot do"),
    ((IsADirectoryError, NotADirectoryError), BadInputError, "A folder is where an object should be, while"),
)


class OtherStore:
    """Objects of one fsspec filesystem. A condition is checked just before writing, which is best effort."""

    atomic_replace = False
    conditional_write = False
    verified = True

    def __init__(self, uri: str, options: StorageOptions, on_retry: Callable[[str], None] | None = None) -> None:
        self._uri = checked(uri)
        self._alone = Lock()
        self._retrier = Retrier(options.retry_seconds, _translated, on_retry)

    @cached_property
    def _fs(self) -> AbstractFileSystem:
        """Made when it is first needed, because many connect at once, and anew after a failure."""
        return url_to_fs(self._uri, use_listings_cache=False, skip_instance_cache=True)[0]

    def _call(self, operation: str, uri: str, action: Callable[[], _Result]) -> _Result:
        def one_try(_: Try) -> _Result:
            with self._alone:  # few of these packages say that they may be used by several threads
                try:
                    return action()
                except Exception:
                    vars(self).pop("_fs", None)
                    raise

        return self._retrier.call(operation, uri, one_try)

    def read(self, uri: str) -> Blob:
        """The whole object; its length, and that it did not change meanwhile, are checked."""
        return self._call("reading", uri, lambda: self._read(uri))

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        """Put the object in place, by a rename where the filesystem has one."""
        content.size_of(data)  # a local file that is missing is no failure of the filesystem
        if if_version is not None:
            expect(self, uri, if_version)
        return self._call("writing", uri, lambda: self._write(uri, data))

    def stat(self, uri: str) -> Stat | None:
        with suppress(InputNotFoundError):
            info = self._call("checking", uri, lambda: self._info(uri))
            return _described(uri, info) if info["type"] == "file" else None
        return None

    def list(self, uri: str) -> Iterator[Stat]:
        folder = self._path(uri).rstrip("/") + "/"
        try:
            found = self._call("listing", uri, lambda: self._fs.find(folder, detail=True))
        except InputNotFoundError:
            return
        for path in sorted(found):
            name = path.lstrip("/").removeprefix(folder.lstrip("/"))
            if not is_temporary(name.rpartition("/")[2]):
                yield _described(uri + name, found[path])

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        if self.stat(uri) is None:
            return
        if if_version is not None:
            expect(self, uri, if_version)
        with suppress(InputNotFoundError):
            self._call("deleting", uri, lambda: self._fs.rm_file(self._path(uri)))

    def _path(self, uri: str) -> str:
        return str(self._fs._strip_protocol(checked(uri)))  # noqa: SLF001 - how fsspec's own functions get the path

    def _info(self, uri: str) -> dict[str, Any]:
        info: dict[str, Any] = self._fs.info(self._path(uri))
        return info

    def _read(self, uri: str) -> Blob:
        before = self._info(uri)
        if before["type"] != "file":
            raise BadInputError(f"{redact(uri)} is a folder.", hint="Name a file.")
        if (before["size"] or 0) > content.READ_LIMIT:
            raise BadInputError(f"{redact(uri)} is larger than {content.READ_LIMIT // 2**30} GiB.")
        data = bytes(self._fs.cat_file(self._path(uri)))
        if _version(self._info(uri)) != _version(before):
            raise TransientError("the object changed while it was read")
        if before["size"] is not None and before["size"] != len(data):
            raise TransientError("the object arrived with another length")
        return Blob(data, _version(before))

    def _write(self, uri: str, data: Source) -> str:
        path = self._path(uri)
        folder = path.rpartition("/")[0]
        if folder:
            self._fs.makedirs(folder, exist_ok=True)
        if type(self._fs).mv is AbstractFileSystem.mv:
            self._fs.pipe_file(path, b"".join(content.chunks(data)))  # in one piece: an upload cut short is no object
            self._confirm(path, data)
        else:
            self._put_and_rename(_temporary_beside(path), path, data)
        return _version(self._info(uri))

    def _confirm(self, path: str, data: Source) -> None:
        if bytes(self._fs.cat_file(path)) != b"".join(content.chunks(data)):
            raise TransientError("other bytes are in place than were sent")

    def _put_and_rename(self, temporary: str, path: str, data: Source) -> None:
        try:
            self._put(temporary, data)
            self._rename(temporary, path, data)
        except Exception:
            with suppress(Exception):  # the first failure is the one to tell of
                self._fs.rm_file(temporary)
            raise

    def _put(self, path: str, data: Source) -> None:
        if isinstance(data, Path):
            self._fs.put_file(str(data), path)
        else:
            self._fs.pipe_file(path, data)
        self._confirm(path, data)

    def _rename(self, temporary: str, path: str, data: Source) -> None:
        """Put the new object in the old one's place; the old one is not removed before the new one is there."""
        try:
            self._fs.mv(temporary, path)
        except Exception as error:
            there = self._is_there(path)
            if there and not self._is_there(temporary):
                self._confirm(path, data)  # it was renamed, and the answer was lost
                return
            if not there or isinstance(error, ConnectionError | TimeoutError):
                raise
            self._move_aside_and_rename(temporary, path, data)

    def _move_aside_and_rename(self, temporary: str, path: str, data: Source) -> None:
        """For a filesystem that renames to a free name alone: there is a moment without the object."""
        old = _temporary_beside(path)
        try:
            self._fs.mv(path, old)
            self._fs.mv(temporary, path)
        except Exception:
            if not self._is_there(path):
                self._fs.mv(old, path)
                raise
            if self._is_there(temporary):
                raise
            self._confirm(path, data)
        with suppress(Exception):  # the new object is in place
            self._fs.rm_file(old)

    def _is_there(self, path: str) -> bool:
        """Whether there is such an object, or an error: ``exists`` of fsspec says no where nobody answers."""
        try:
            self._fs.info(path)
        except FileNotFoundError:
            return False
        return True


def _temporary_beside(path: str) -> str:
    return f"{path.rpartition('/')[0]}/{TEMP_PREFIX}{secrets.token_hex(8)}{TEMP_SUFFIX}"


def _version(info: dict[str, Any]) -> str:
    """The first property that changes with the bytes; else time and size, as far as the filesystem tells them."""
    for key in _VERSION_KEYS:
        if info.get(key):
            return str(info[key])
    changed = next((info[key] for key in _TIME_KEYS if info.get(key)), "")
    return f"{changed}-{info.get('size')}"


def _described(uri: str, info: dict[str, Any]) -> Stat:
    return Stat(uri=uri, size=info["size"] or 0, version=_version(info))


def _translated(error: Exception, doing: str) -> Exception:
    """The error to raise in place of a filesystem's, by what Python and HTTP clients commonly raise."""
    said = redact(str(error))
    for kinds, meaning, sentence in _MEANINGS:
        if isinstance(error, kinds):
            return meaning(f"{sentence} {doing}: {said}"[:300], context=doing)
    if isinstance(error, TypeError | AttributeError | AssertionError | LookupError):
        return error
    status = next((value for key in _STATUS_KEYS if isinstance(value := getattr(error, key, None), int)), None)
    return TransientError(f"{type(error).__name__}: {said}"[:200]) if status is None else explained(status, doing)


def open_backend(uri: str, options: StorageOptions, on_retry: Callable[[str], None] | None) -> OtherStore:
    """A store on the filesystem that serves the URI's scheme."""
    return OtherStore(uri, options, on_retry)
