"""Every other scheme that an installed fsspec package serves: whole objects only, and nothing promised beyond that."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Final

from fsspec.registry import known_implementations

_WRAPPERS: Final = {"async_wrapper", "asyncwrapper", "blockcache", "cached", "dir", "dirfs", "filecache", "simplecache"}
_INSIDE_OTHERS: Final = {"data", "generic", "git", "libarchive", "reference", "tar", "zip"}
_ELSEWHERE: Final = {"asynclocal", "dask", "jlab", "jupyter", "local", "pyscript"}
_SECOND_NAMES: Final = {"gcs", "s3a", "ssh"}
_REFUSED: Final = _WRAPPERS | _INSIDE_OTHERS | _ELSEWHERE | _SECOND_NAMES
"""Names that reach other filesystems through themselves, or that would go around the checks of our own backends."""
_NEEDS: Final = {
    "arrow_hdfs": "pyarrow",
    "dbfs": "requests",
    "ftp": "ftplib",
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
