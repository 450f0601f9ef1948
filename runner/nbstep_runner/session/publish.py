"""Putting a run's objects in their places: the notebook first and whole, then what accompanies it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from nbstep_runner.contract import HtmlAllow, RunResult, StorePromises, encode
from nbstep_runner.errors import InternalError, NbstepError, OutputConflictError
from nbstep_runner.session.background import begin
from nbstep_runner.session.claim import ClaimKeeper
from nbstep_runner.session.html import render_html
from nbstep_runner.session.places import Places
from nbstep_runner.session.work import OpenStore
from nbstep_runner.stores import ABSENT, Source, Store
from nbstep_runner.supervisor import Supervisor

if TYPE_CHECKING:
    from nbstep_runner.engine.document import Document

T = TypeVar("T")
KEPT_NAME: Final = "output.ipynb"
NOTEBOOK_SHARE: Final = 0.6
"""Of what is left of the grace period after a stop; log and record need some of it, above all if the notebook fails."""
COMPANION_SHARE: Final = 0.25
"""Of what is left of a stopped run's grace period, for each thing that the run can do without."""
LOG_SHARE: Final = 0.5
"""The same for the log, once the record is there; should it fail, the record is written once more."""
LOG_DOING: Final = "publishing the log"


@dataclass(frozen=True, slots=True)
class Published:
    """A notebook that is verified in storage."""

    version: str
    checksum: str
    promises: StorePromises


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
        store = self._open_store(self.places.output)
        try:
            written = self._write(self.places.output, data, version, share=NOTEBOOK_SHARE)
        except OutputConflictError:
            self._call(claim.confirm)
            stat = self._call(lambda: store.stat(self.places.output))
            written = self._write(self.places.output, data, stat.version if stat else ABSENT, share=NOTEBOOK_SHARE)
        return Published(written, checksum, promised_by(store))

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

    def html(self, data: Source, allow: HtmlAllow, warn: Callable[[str], None]) -> None:
        """Render the notebook as a page beside it, and tell what the page does not show.

        The page is written only once it is whole, so that none comes after the record that says there is none.
        """
        name = self.places.output.rpartition("/")[2].removesuffix(".ipynb")
        page = self._call(lambda: render_html(_bytes(data), name, allow), "rendering the page", share=COMPANION_SHARE)
        self._write(self.places.html, page.content, doing="publishing the page", share=COMPANION_SHARE)
        for warning in page.warnings:
            warn(warning)

    def begin_log(self, path: Path) -> Future[str]:
        """Begin to put the log as it stands beside the notebook."""
        return begin(lambda: self._open_store(self.places.log).write(self.places.log, path), LOG_DOING)

    def end_log(self, writing: Future[str]) -> None:
        """Wait until it is there.

        Raises:
            StorageUnavailableError, StorageDeniedError: The store does not take it.
        """
        self._call(writing.result, LOG_DOING, share=LOG_SHARE)

    def remove_partial(self) -> None:
        """Remove the partial notebook: the finished one has taken its place."""
        self._delete(self.places.partial, doing="removing the partial notebook", share=COMPANION_SHARE)

    def remove_record(self, version: str) -> None:
        """Remove the record that was there, at ``version``, when the run began.

        Raises:
            OutputConflictError: Another run has written it since.
        """
        self._delete(self.places.record, version, doing="removing the earlier record")

    def _write(
        self, uri: str, data: Source, version: str | None = None, *, doing: str = "publishing", share: float = 1.0
    ) -> str:
        return self._call(lambda: self._open_store(uri).write(uri, data, if_version=version), doing, share=share)

    def _delete(self, uri: str, version: str | None = None, *, doing: str, share: float = 1.0) -> None:
        self._call(lambda: self._open_store(uri).delete(uri, if_version=version), doing, share=share)

    def _call(self, work: Callable[[], T], doing: str = "publishing", *, share: float = 1.0) -> T:
        """Do it despite a stop; what is no error of ours becomes one, so that nobody here has to expect others.

        ``share`` is that of :meth:`Supervisor.call`.
        """
        try:
            return self._supervisor.call(work, doing=doing, despite_stop=True, share=share)
        except NbstepError:
            raise
        except Exception as error:
            raise InternalError(f"{type(error).__name__}: {error}", context=doing) from error


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


def _bytes(data: Source) -> bytes:
    return data if isinstance(data, bytes) else data.read_bytes()


def promised_by(store: Store) -> StorePromises:
    """What a store promises, as far as its writes have shown by now."""
    return StorePromises(
        atomic_replace=store.atomic_replace, conditional_write=store.conditional_write, verified=store.verified
    )


def _sha256(data: Source) -> str:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
