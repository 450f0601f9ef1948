"""The launcher's stores: each opened once, because a client of a cloud takes a while to make, and runs are many."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import UsageError
from nbstep_runner.stores import Store, open_store

AT_MOST: Final = 32
DEFAULT_RUNS: Final = "nbstep-runs"
"""The folder of all runs where neither a call nor a profile nor its backend names one."""


def store_of(uri: str, options: StorageOptions) -> Store:
    """The store of a URI, shared by all that lies at the same place and is reached in the same way.

    All paths of this machine share one, so that many of them never push a cloud's client out.
    """
    parts = urlsplit(uri) if "://" in uri else None
    return _opened(f"{parts.scheme}://{parts.netloc}/" if parts else "/", options if parts else StorageOptions())


@lru_cache(maxsize=AT_MOST)
def _opened(place: str, options: StorageOptions) -> Store:
    return open_store(place, options)


def folder_of_user(variable: str, usual: str) -> Path:
    """The folder that an environment variable names, or the usual one.

    Raises:
        UsageError: It is below a home that this user does not have.
    """
    folder = Path(os.path.expanduser(os.environ.get(variable) or usual))  # noqa: PTH111 - Path's own raises no error of ours
    if folder.parts[:1] == ("~",):
        raise UsageError(f"{folder} cannot be: this user has no home", hint=f"Let {variable} or HOME name a folder.")
    return folder


def absolute(uri: str) -> str:
    """A URI as it stands; a plain path without regard to the working directory."""
    return uri if "://" in uri else str(Path(uri).expanduser().absolute())
