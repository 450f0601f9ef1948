"""Links in folders of runs on this machine: whoever may write there can make one to what only the server may read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nbstep_runner.contract import ATTEMPTS
from nbstep_runner.errors import InputNotFoundError
from nbstep_runner.stores import Blob, Source, Stat, Store


def lies_in(uri: str, folder: str) -> bool:
    """Whether a file or folder lies in another, links followed; elsewhere than on this machine there are none.

    A pipe, a socket or a device is no file: whoever read it would wait for whoever made it.
    """
    if "://" in uri:
        return True
    try:
        return Path(uri).resolve().is_relative_to(Path(folder).resolve()) and not _is_special(uri)
    except (OSError, RuntimeError, ValueError):  # such as a link that leads to itself
        return False


def _is_special(path: str) -> bool:
    with suppress(OSError):  # it is not there, or may not be looked at
        mode = os.stat(path).st_mode  # noqa: PTH116 - a Path says nothing more
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


def links_out(run: str, folder: str) -> bool:
    """Whether anything that a run or its earlier attempts left leads out of the folder of runs, or is no file."""
    if "://" in run:
        return False
    here = Path(run)
    found = (here, *_entries(here), *_entries(here / f"output{ATTEMPTS}"))
    return not all(lies_in(str(each), folder) for each in found)


def _entries(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


class Confined:
    """A store of a folder of this machine, in which what a link leads out of is as if it were not there.

    Args:
        store: Of the folder.
        folder: It.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder

    @property
    def atomic_replace(self) -> bool:
        return self._store.atomic_replace

    @property
    def conditional_write(self) -> bool:
        return self._store.conditional_write

    @property
    def verified(self) -> bool:
        return self._store.verified

    def read(self, uri: str) -> Blob:
        self._check(uri)
        return self._store.read(uri)

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        self._check(uri)
        return self._store.write(uri, data, if_version=if_version)

    def stat(self, uri: str) -> Stat | None:
        return self._store.stat(uri) if lies_in(uri, self._folder) else None

    def list(self, uri: str) -> Iterator[Stat]:
        return self._store.list(uri)  # a name is told whatever it leads to

    def delete(self, uri: str, *, if_version: str | None = None) -> None:
        self._check(uri)
        self._store.delete(uri, if_version=if_version)

    def _check(self, uri: str) -> None:
        if not lies_in(uri, self._folder):
            raise InputNotFoundError(f"{uri} leads out of {self._folder}")


def confined(store: Store, folder: str) -> Store:
    """A store of a folder, which leads nowhere else."""
    return store if "://" in folder else Confined(store, folder)
