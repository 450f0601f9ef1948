"""Putting a run's objects in their places: the notebook first and whole, then what accompanies it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from nbstep_runner.contract import RunResult, encode
from nbstep_runner.engine.document import Document
from nbstep_runner.errors import InternalError, NbstepError, OutputConflictError
from nbstep_runner.session.claim import ClaimKeeper
from nbstep_runner.session.html import render_html
from nbstep_runner.session.places import Places
from nbstep_runner.session.work import OpenStore
from nbstep_runner.stores import ABSENT, Source
from nbstep_runner.supervisor import Supervisor

T = TypeVar("T")
KEPT_NAME: Final = "output.ipynb"


@dataclass(frozen=True, slots=True)
class Published:
    """A notebook that is verified in storage."""

    version: str
    checksum: str


class Publisher:
    """Writes a finished run's objects, even after a stop, for as long as the grace period lasts."""

    def __init__(self, places: Places, open_store: OpenStore, supervisor: Supervisor) -> None:
        self.places = places
        self._open_store = open_store
        self._supervisor = supervisor

    def notebook(self, data: Source, version: str, claim: ClaimKeeper) -> Published:
        """Write the notebook over the one that was there, at ``version``, when the run began.

        An output that has changed meanwhile is another attempt's. Only the owner of the claim replaces it, so that of
        two attempts the one whose record stands is also the one whose notebook stays.

        Raises:
            OutputConflictError: The claim is another's by now.
            StorageUnavailableError, StorageDeniedError: The store does not take it.
        """
        checksum = f"sha256:{_sha256(data)}"
        try:
            return Published(self._write(self.places.output, data, version), checksum)
        except OutputConflictError:
            self._call(claim.confirm)
        stat = self._call(lambda: self._open_store(self.places.output).stat(self.places.output))
        return Published(self._write(self.places.output, data, stat.version if stat else ABSENT), checksum)

    def prepared(self, data: bytes) -> str:
        """Write a notebook that has not been run, over whatever is there; its version."""
        return self._write(self.places.output, data)

    def commit(self, claim: ClaimKeeper, result: RunResult) -> None:
        """Replace the claim by the final record.

        Raises:
            OutputConflictError: The claim is another's by now.
        """
        self._call(lambda: claim.commit(result))

    def record(self, result: RunResult, version: str) -> None:
        """Write the record of a run that has no claim, over the one that was there."""
        self._write(self.places.record, encode(result, indent=1), version)

    def html(self, data: Source) -> None:
        """Render the notebook as a page beside it."""
        notebook = data if isinstance(data, bytes) else data.read_bytes()
        name = self.places.output.rpartition("/")[2].removesuffix(".ipynb")
        self._write(self.places.html, render_html(notebook, name))

    def log(self, path: Path) -> None:
        """Put the log as it stands beside the notebook."""
        self._write(self.places.log, path)

    def remove_partial(self) -> None:
        """Remove the partial notebook: the finished one has taken its place."""
        self._call(lambda: self._open_store(self.places.partial).delete(self.places.partial))

    def _write(self, uri: str, data: Source, version: str | None = None) -> str:
        return self._call(lambda: self._open_store(uri).write(uri, data, if_version=version))

    def _call(self, work: Callable[[], T]) -> T:
        """Do it despite a stop; what is no error of ours becomes one, so that nobody here has to expect others."""
        try:
            return self._supervisor.call(work, doing="publishing", despite_stop=True)
        except NbstepError:
            raise
        except Exception as error:
            raise InternalError(f"{type(error).__name__}: {error}", context="publishing") from error


def notebook_source(document: Document) -> Source:
    """The finished notebook; from memory where scratch cannot take what it lacks."""
    try:
        return document.complete()
    except OSError:
        return b"".join(document.snapshot().chunks())


def keep_locally(data: Source, folder: Path) -> Path:
    """Keep a notebook that could not be stored.

    Raises:
        OSError: There is no place for it here either.
    """
    path = folder / KEPT_NAME
    if isinstance(data, Path):
        shutil.move(data, path)
    else:
        path.write_bytes(data)
    return path


def attempt(publish: Callable[[], None]) -> NbstepError | None:
    """Publish what a run can do without; what went wrong, if something did."""
    try:
        publish()
    except NbstepError as error:
        return error
    return None


def _sha256(data: Source) -> str:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
