"""Steps of a chain that need not run again: what was asked of each, and the outputs that it left, as they were then."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from nbstep_runner.contract import RunResult, RunState, decode
from nbstep_runner.errors import BadInputError

KEPT: Final = "reuse.json"
"""In a step's folder, once it has succeeded."""


class _Kept(msgspec.Struct, frozen=True):
    asked: str
    outputs: dict[str, str]


class Earlier:
    """What an earlier chain left of a step.

    Args:
        folder: The step's own.
        record: The name of the run's record in it.
        outputs: The names of the step's artifacts in it.
        asked: All that decides what the step does, as JSON takes it.
    """

    def __init__(self, folder: Path, record: str, outputs: Iterable[str], asked: Any) -> None:
        self._folder = folder
        self._record = record
        self._outputs = tuple(outputs)
        self._asked = hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()

    def record(self) -> RunResult | None:
        """The record of the same work, if it succeeded and every output is what it was when it did."""
        with suppress(OSError, msgspec.DecodeError, BadInputError):
            kept = msgspec.json.decode((self._folder / KEPT).read_bytes(), type=_Kept)
            record = decode((self._folder / self._record).read_bytes(), RunResult)
            if record.state is RunState.SUCCEEDED and kept == self._as_it_is():
                return record
        return None

    def keep(self) -> None:
        """Remember that the step has succeeded with the outputs that are there now, if there is room for it."""
        with suppress(OSError):  # half of it says nothing: then the step runs again
            (self._folder / KEPT).write_bytes(msgspec.json.encode(self._as_it_is()))

    def _as_it_is(self) -> _Kept:
        return _Kept(self._asked, {name: _checksum(self._folder / name) for name in self._outputs})


def _checksum(path: Path) -> str:
    """Of a file's bytes, or of the names and bytes of all files in a folder; empty where there is nothing."""
    if path.is_dir():
        whole = hashlib.sha256()
        for name, checksum in _files(path):
            whole.update(f"{name}\0{checksum}\0".encode(errors="surrogateescape"))
        return f"folder:{whole.hexdigest()}"
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return f"file:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), _checksum(path)
