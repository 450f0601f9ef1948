"""A state folder saved: what is new of it sent, then its generation written, then what is older removed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nbstep_runner.errors import BadInputError, OutputConflictError, StorageUnavailableError
from nbstep_runner.inventory import ChangedError, FoundFile, Inventory, TooManyEntriesError, pieces_of, take_inventory
from nbstep_runner.state.generations import KEPT, PIECE_BYTES, Generation, Shelf, StoredFile, name_of_piece, sealed

AT_ONCE: Final = 8
"""Pieces on their way, each in memory."""
MOST_ENTRIES: Final = 100_000
TRIES: Final = 6
"""How often a folder is looked at that changes meanwhile; what was sent of it before need not be sent again."""
FIRST_PAUSE_SECONDS: Final = 0.05
SETTLED_NS: Final = 2 * 10**9
"""A file that was written to more recently than this when it was read is read again the next time: its times are too
coarse to show a further write."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What a file held when it had this mark."""

    mark: tuple[int, ...]
    pieces: tuple[str, ...]


class Saver:
    """Saves one folder, from any thread, one save at a time.

    Args:
        shelf: Where; it has been looked at.
        folder: What.
        template: What each generation says of its run.
        restored: What the folder was filled from.
        spared: The newest generation of other work, which stays as long as the run lasts: who ran something else in
            its place by mistake can still go on from it.
        largest: How many bytes it may hold.
        confirm: Raises where another attempt has the output by now.
        warn: Told of what is left out.
    """

    def __init__(  # noqa: PLR0913 - what a save needs, each part named by its caller
        self,
        shelf: Shelf,
        folder: Path,
        template: Generation,
        *,
        restored: Generation | None,
        spared: Generation | None,
        largest: int,
        confirm: Callable[[], None],
        warn: Callable[[str], None],
    ) -> None:
        self._shelf = shelf
        self._folder = folder
        self._template = template
        self._largest = largest
        self._confirm = confirm
        self._warn = warn
        self._lock = threading.Lock()
        self._closed = False
        self._told: set[str] = set()
        self._files: dict[str, _Known] = {}
        self._kept: list[Generation] = []
        self._spared = [] if spared is None else [spared]
        if restored is not None:
            self._kept = [restored]
            self._remember(restored)
        self._tidied = list(self._kept)
        self._there = {piece for generation in self._kept for piece in generation.pieces}
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-state")
        self._start_threads()

    @property
    def newest(self) -> Generation | None:
        """The generation that the next attempt would begin with."""
        return self._kept[-1] if self._kept else None

    def save(self) -> Generation | None:
        """Save the folder as it is at one moment; where nothing has changed, the newest generation is the one.

        Returns:
            The generation; ``None`` where there never was one, and the folder holds nothing.

        Raises:
            BadInputError: The folder holds too much.
            OutputConflictError: The output is another attempt's by now; nothing is written.
            StorageUnavailableError: The store does not take it, the folder cannot be read or does not come to rest, or
                the run has ended.
            StorageDeniedError: The store denies it.
        """
        with self._lock:
            for number in range(TRIES):
                time.sleep(FIRST_PAUSE_SECONDS * (2**number - 1))
                inventory = self._look()
                try:
                    files = self._send(inventory.files)
                except ChangedError:
                    continue
                if self._look() == inventory:
                    empty = not (files or inventory.folders or self._kept)
                    return None if empty else self._commit(files, inventory.folders)
            raise StorageUnavailableError(
                "the state folder is written to all the time, and was not saved",
                hint="Write to another name and rename, and call state.save() at a moment of rest.",
            )

    def tidy(self) -> None:
        """Remove generations that are older than those that are kept, and what saves left that did not come to an end.

        Nothing is removed before this run has saved a generation itself.
        """
        with self._lock:
            if self._closed or self._kept == self._tidied:
                return
            self._shelf.tidy([*self._kept, *self._spared], self._pool)
            self._tidied = list(self._kept)
            self._there.intersection_update(piece for each in self._kept for piece in each.pieces)

    def close(self) -> None:
        """Let no further generation come to be: what is still being sent stays without effect."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start_threads(self) -> None:
        """All of them now: a notebook that starts processes up to their limit leaves none for later."""
        together = threading.Barrier(AT_ONCE)
        for started in [self._pool.submit(together.wait) for _ in range(AT_ONCE)]:
            started.result()

    def _remember(self, restored: Generation) -> None:
        """What was written here need not be read to be known."""
        found = {file.path: file for file in take_inventory(self._folder, most=MOST_ENTRIES).files}
        for file in restored.files:
            if file.path in found:
                self._files[file.path] = _Known(found[file.path].mark, file.pieces)

    def _look(self) -> Inventory:
        try:
            inventory = take_inventory(self._folder, most=MOST_ENTRIES)
        except TooManyEntriesError:
            raise BadInputError(
                f"the state folder holds more than {MOST_ENTRIES} files, and was not saved",
                hint="Put many small files into one archive.",
            ) from None
        except OSError as error:
            raise StorageUnavailableError(f"the state folder cannot be read: {error.strerror or error}") from error
        if inventory.unread:
            path, reason = inventory.unread[0].path, inventory.unread[0].reason
            raise StorageUnavailableError(f"the state folder cannot be read: {path}: {reason}")
        if inventory.size > self._largest:
            raise BadInputError(
                f"the state folder holds {inventory.size} bytes, may hold {self._largest}, and was not saved",
                hint="Remove older checkpoints from it, or raise --state-limit.",
            )
        for refused in inventory.refused:
            if refused.path not in self._told:
                self._told.add(refused.path)
                self._warn(f"{refused.path} is not saved with the state: {refused.reason}")
        return inventory

    def _send(self, files: Sequence[FoundFile]) -> tuple[StoredFile, ...]:
        """Send what is not there of these files.

        Raises:
            ChangedError: One of them changed meanwhile.
        """
        sending = _Sending(self._pool, self._shelf, self._there)
        try:
            stored = tuple(self._stored(file, sending) for file in files)
        except OSError as error:
            raise StorageUnavailableError(f"a file of the state cannot be read: {error.strerror or error}") from error
        finally:
            sending.settle()
        sending.check()
        return stored

    def _stored(self, file: FoundFile, sending: _Sending) -> StoredFile:
        known = self._files.get(file.path)
        if known is None or known.mark != file.mark or not self._there.issuperset(known.pieces):
            settled = time.time_ns() - file.modified_ns > SETTLED_NS
            pieces = tuple(map(sending.add, pieces_of(self._folder, file, PIECE_BYTES)))
            known = _Known(file.mark if settled else (), pieces)
            self._files[file.path] = known
        return StoredFile(file.path, file.size, file.mode, file.modified_ns, known.pieces)

    def _commit(self, files: tuple[StoredFile, ...], folders: tuple[str, ...], tries: int = TRIES) -> Generation:
        """Write the generation, unless nothing has changed; of two attempts the one that has the output does."""
        number = max(self._shelf.numbers, default=0) + 1
        saved_at = datetime.now(UTC).isoformat(timespec="seconds")
        generation = sealed(replace(self._template, number=number, saved_at=saved_at, files=files, folders=folders))
        if self.newest is not None and self.newest.holds_what(generation):
            return self.newest
        self._confirm()
        if self._closed:
            raise StorageUnavailableError("the run ended while its state was saved")
        try:
            self._shelf.write(generation)
        except OutputConflictError:
            if not self._shelf.holds(generation):  # an attempt that had lost its claim was still at it: pass it by
                if tries == 1:
                    raise
                self._shelf.look()
                return self._commit(files, folders, tries - 1)
        self._kept = [*self._kept, generation][-KEPT:]
        return generation


class _Sending:
    """The pieces of one save on their way; no more are held in memory than are sent at once."""

    def __init__(self, pool: ThreadPoolExecutor, shelf: Shelf, there: set[str]) -> None:
        self._pool = pool
        self._shelf = shelf
        self._there = there
        self._room = threading.Semaphore(AT_ONCE)
        self._sent: dict[str, Future[None]] = {}

    def add(self, data: bytes) -> str:
        """Begin to send a piece, unless it is there; its name."""
        piece = name_of_piece(data)
        if piece not in self._there and piece not in self._sent:
            self._room.acquire()
            try:
                self._sent[piece] = self._pool.submit(self._shelf.write_piece, piece, data)
            except RuntimeError as error:  # no save begins once the run has ended
                raise StorageUnavailableError("the run ended while its state was saved") from error
            self._sent[piece].add_done_callback(lambda _: self._room.release())
        return piece

    def settle(self) -> None:
        """Wait for all; what has arrived is there."""
        wait(self._sent.values())
        arrived = {piece for piece, sent in self._sent.items() if not sent.cancelled() and sent.exception() is None}
        self._there |= arrived

    def check(self) -> None:
        """Raise the error of one that has not arrived."""
        for sent in self._sent.values():
            if sent.cancelled():
                raise StorageUnavailableError("the run ended while its state was saved")
            sent.result()
