"""Files that come back: from the working directory to ``OUT.files/``, each with its checksum in the record."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from nbstep_runner.contract import CollectedFile
from nbstep_runner.errors import BadInputError, NbstepError
from nbstep_runner.inventory import ChangedError, FoundFile, Refused, open_found
from nbstep_runner.session.ledger import Ledger
from nbstep_runner.session.working_files import WorkingFiles, left_behind
from nbstep_runner.session.writer import RunWriter
from nbstep_runner.stores import Store, below, checksum, join
from nbstep_runner.supervisor import begin

DOING: Final = "storing the collected files"
AT_ONCE: Final = 4
"""Files on their way, so that small ones do not wait for a round trip each."""
LOOK_SHARE: Final = 0.2
FILE_SHARE: Final = 0.5
"""Of what is left of a stopped run's grace period, for each file: record and log need some of it."""
TOLD: Final = 5
"""Refused files that are named; the others are counted."""


class FileCollector:
    """Stores the files of one run.

    Args:
        store: Of the run's output.
        place: The folder ``OUT.files``.
        writer: Does the blocking work, and remembers what was stored.
        ledger: The run's record in the making.
    """

    def __init__(self, store: Store, place: str, writer: RunWriter, ledger: Ledger) -> None:
        self._store = store
        self._place = place
        self._writer = writer
        self._ledger = ledger

    def collect(self, working: WorkingFiles, reported: Sequence[str], *, storing: bool) -> None:
        """Store what is wanted of the working directory, and write down what is not stored.

        Args:
            working: The working directory.
            reported: Paths that the notebook reported as results.
            storing: Whether anything can be stored; if not, what was wanted is left behind.

        Raises:
            StorageUnavailableError, StorageDeniedError: The store does not take a file, or not in time. What was stored
                until then is in the record.
        """
        look = partial(working.written, reported)
        written = self._writer.call(look, "looking at the working directory", share=LOOK_SHARE)
        stored: list[CollectedFile] = []
        refused = list(written.refused)
        try:
            for came in self._store_all(working.folder, written.wanted if storing else ()):
                if isinstance(came, Refused):
                    refused.append(came)
                else:
                    stored.append(came)
        finally:
            paths = {file.path for file in stored}
            left = [file for file in (*written.wanted, *written.others) if file.path not in paths]
            files = tuple(sorted(stored, key=lambda file: file.path))
            self._ledger.change(files=files, left_behind=left_behind(left))
            self._tell(refused, working.unmatched(paths) if storing else ())

    def _store_all(self, folder: Path, files: Sequence[FoundFile]) -> Iterator[CollectedFile | Refused]:
        """Some at once; where one fails, what comes of those that were begun with it is told before the error.

        After a stop they are not waited for any more.
        """
        begun: deque[Future[CollectedFile | Refused]] = deque()
        left = deque(files)
        try:
            while left or begun:
                while left and len(begun) < AT_ONCE:
                    begun.append(begin(partial(self._store_one, folder, left.popleft()), DOING))
                yield self._writer.wait(begun.popleft(), DOING, share=FILE_SHARE)
        except NbstepError:
            for other in begun:
                with suppress(NbstepError):
                    yield self._writer.wait(other, DOING, share=0.0)
            raise

    def _store_one(self, folder: Path, file: FoundFile) -> CollectedFile | Refused:
        uri = below(self._place, file.path)
        try:
            with open_found(folder, file) as stream:
                # By its descriptor: whatever has the file's name by now, these are the bytes of the one that was found.
                found = Path(f"/proc/self/fd/{stream.fileno()}")
                digest = checksum(found)
                self._writer.written[uri] = self._store.write(uri, found)
        except ChangedError:
            with suppress(NbstepError):
                self._store.delete(uri)
            return Refused(file.path, "it changed while it was stored")
        except OSError as error:
            return Refused(file.path, (error.strerror or str(error)).lower())
        except BadInputError as error:
            return Refused(file.path, error.message)
        return CollectedFile(path=file.path, size=file.size, checksum=digest)

    def _tell(self, refused: Sequence[Refused], unmatched: Iterable[str]) -> None:
        for each in refused[:TOLD]:
            self._ledger.warn(f"{each.path!r} is not collected: {each.reason}")
        if len(refused) > TOLD:
            self._ledger.warn(f"{len(refused) - TOLD} more are not collected")
        for pattern in unmatched:
            self._ledger.warn(f"no file that the notebook has written is stored by the pattern {pattern!r}")

    def remove_others(self) -> None:
        """Remove what earlier attempts and runs have stored here and the record does not name.

        Raises:
            NbstepError: The store denies it, or does not answer.
        """
        kept = {below(self._place, file.path) for file in self._ledger.result.files}
        for stat in self._store.list(join(self._place, "")):
            if stat.uri not in kept:
                self._store.delete(stat.uri)
