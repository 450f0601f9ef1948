"""What is stored of a state folder, and where: generations, each of them complete or not there.

Below ``OUT.state/`` lie ``pieces/SHA256``, the files' bytes in pieces that are named by their checksum, and
``generations/NUMBER.json``, one for each generation, which lists the folder's files with their pieces. A generation is
written after all of its pieces, so it is there only if it is complete; a piece that several generations need is there
once, so what did not change is not sent again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from nbstep_runner.contract import decode, encode
from nbstep_runner.errors import BadInputError, InputNotFoundError, NbstepError
from nbstep_runner.inventory import is_plain
from nbstep_runner.stores import ABSENT, Store, join
from nbstep_runner.stores.uris import name_below

PIECE_BYTES: Final = 4 * 2**20
"""Several are held in memory at once; smaller ones would cost more requests."""
KEPT: Final = 2
"""Generations: should the newest turn out to be damaged, there is the one before."""
LARGEST_GENERATION: Final = 64 * 2**20
"""Bytes of a list of files; a longer one is not ours."""
_GENERATION: Final = re.compile(r"generations/(\d{6,12})\.json")
_PIECE: Final = re.compile(r"pieces/([0-9a-f]{64})")
_CHECKSUM: Final = re.compile(r"[0-9a-f]{64}")


class DamagedError(Exception):
    """A generation is not what was written; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a generation.

    Attributes:
        path: Relative to the folder; plain, as :func:`nbstep_runner.inventory.is_plain` has it.
        mode: Its permissions.
        modified_ns: Nanoseconds since the epoch.
        pieces: SHA-256, in hexadecimal, of each piece of :data:`PIECE_BYTES`, the last one shorter.
    """

    path: str
    size: int
    mode: int
    modified_ns: int
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A folder as it was at one moment.

    Attributes:
        number: Counts from 1 over all attempts.
        content: Names the notebook and the parameters that it belongs to.
        forced: Saved by a run that had begun anew, whatever was there.
        saved_at: UTC, RFC 3339; for people.
        folders: All of them, because an empty one counts too.
        checksum: SHA-256 of the JSON of all the rest.
    """

    number: int
    run_id: str
    attempt: int
    content: str
    saved_at: str
    files: tuple[StoredFile, ...]
    folders: tuple[str, ...]
    forced: bool = False
    checksum: str = ""
    schema_version: int = 1

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def pieces(self) -> set[str]:
        """The checksums of all pieces."""
        return {piece for file in self.files for piece in file.pieces}

    def holds_what(self, other: Generation) -> bool:
        """Whether the folder was the same."""
        return (self.files, self.folders) == (other.files, other.folders)


class Shelf:
    """The generations of one run's state in a store.

    Args:
        store: Where they lie.
        root: The folder, a URI that ends with ``/``.
    """

    def __init__(self, store: Store, root: str) -> None:
        self._store = store
        self.root = root
        self._generations: dict[int, str] = {}
        self._pieces: dict[str, str] = {}

    def look(self) -> tuple[int, ...]:
        """The numbers of the generations that are there, the newest first; other objects in the folder are not ours.

        Raises:
            StorageUnavailableError, StorageDeniedError: The folder cannot be listed.
        """
        for stat in self._store.list(self.root):
            name = name_below(self.root, stat.uri)
            if found := _GENERATION.fullmatch(name):
                self._generations[int(found[1])] = stat.version
            elif found := _PIECE.fullmatch(name):
                self._pieces[found[1]] = stat.version
        return self.numbers

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those that are known of, the newest first."""
        return tuple(sorted(self._generations, reverse=True))

    def read(self, number: int) -> Generation:
        """A generation's list of files.

        Raises:
            DamagedError: It is not what was written.
            StorageUnavailableError, StorageDeniedError: It cannot be read.
        """
        try:
            data = self._store.read(self._uri(number)).data
            generation = decode(data, Generation) if len(data) <= LARGEST_GENERATION else None
        except InputNotFoundError:
            raise DamagedError("its list of files is gone") from None
        except BadInputError:
            generation = None
        if generation is None or generation.number != number or generation != sealed(generation):
            raise DamagedError("its list of files is not what was written")
        _check(generation)
        return generation

    def read_piece(self, piece: str) -> bytes:
        """The bytes of a piece.

        Raises:
            DamagedError: It is gone, or not what was written.
            StorageUnavailableError, StorageDeniedError: It cannot be read.
        """
        try:
            data = self._store.read(self._piece_uri(piece)).data
        except InputNotFoundError:
            raise DamagedError("a piece of it is gone") from None
        if name_of_piece(data) != piece:
            raise DamagedError("the checksum of a piece differs")
        return data

    def write_piece(self, piece: str, data: bytes) -> None:
        """Store a piece.

        Raises:
            StorageUnavailableError, StorageDeniedError: The store does not take it.
        """
        self._pieces[piece] = self._store.write(self._piece_uri(piece), data)

    def write(self, generation: Generation) -> None:
        """Store a sealed generation whose pieces are there; from now on it is complete.

        Raises:
            OutputConflictError: There is one of its number.
            StorageUnavailableError, StorageDeniedError: The store does not take it.
        """
        uri = self._uri(generation.number)
        self._generations[generation.number] = self._store.write(uri, encode(generation), if_version=ABSENT)

    def holds(self, generation: Generation) -> bool:
        """Whether this very generation is there: the answer to its write may have been lost.

        Raises:
            StorageUnavailableError, StorageDeniedError: The store does not say.
        """
        with suppress(DamagedError):
            if self.read(generation.number) == generation:
                self._generations.setdefault(generation.number, "")
                return True
        return False

    def tidy(self, kept: Collection[Generation], pool: Executor) -> None:
        """Remove every generation but these, and every piece that they do not need, several at once.

        The lists go first, so that no generation is ever there without its pieces. A piece that another attempt has
        written again since it was seen here stays, where the store checks versions. What cannot be removed now is
        removed the next time.
        """
        numbers = {generation.number for generation in kept}
        needed = {piece for generation in kept for piece in generation.pieces}
        lists = [number for number in self._generations if number not in numbers]
        if all(pool.map(self._remove_list, lists)):
            list(pool.map(self._remove_piece, [piece for piece in self._pieces if piece not in needed]))

    def _remove_list(self, number: int) -> bool:
        """Remove a list; whether it is gone."""
        with suppress(NbstepError):
            self._store.delete(self._uri(number))
            del self._generations[number]
            return True
        return False

    def _remove_piece(self, piece: str) -> None:
        with suppress(NbstepError):
            self._store.delete(self._piece_uri(piece), if_version=self._pieces[piece])
            del self._pieces[piece]

    def _uri(self, number: int) -> str:
        return join(self.root, f"generations/{number:06}.json")

    def _piece_uri(self, piece: str) -> str:
        return join(self.root, f"pieces/{piece}")


def name_of_piece(data: bytes) -> str:
    """The checksum that names these bytes."""
    return hashlib.sha256(data).hexdigest()


def sealed(generation: Generation) -> Generation:
    """The generation with the checksum of all that it says."""
    data = encode(replace(generation, checksum=""))
    return replace(generation, checksum=hashlib.sha256(data).hexdigest())


def _check(generation: Generation) -> None:
    """Refuse a list that says what no save writes: whoever made it could have its checksum right.

    Raises:
        DamagedError: It does.
    """
    paths = [file.path for file in generation.files]
    folders = {*generation.folders}
    if len({*paths, *folders}) != len(paths) + len(generation.folders):
        raise DamagedError("it lists a name twice")
    for path in (*paths, *generation.folders):
        if not is_plain(path):
            raise DamagedError(f"it lists a name that leaves the folder: {path!r}")
        above = path.rpartition("/")[0]
        if above and above not in folders:
            raise DamagedError(f"it does not list the folder of {path!r}")
    for file in generation.files:
        if len(file.pieces) != -(-file.size // PIECE_BYTES):
            raise DamagedError(f"the size of {file.path!r} is not that of its pieces")
        if not all(map(_CHECKSUM.fullmatch, file.pieces)):
            raise DamagedError(f"a piece of {file.path!r} has no checksum for a name")
