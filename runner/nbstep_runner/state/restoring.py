"""A state folder filled from the newest generation that is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from nbstep_runner.errors import BadInputError, StorageUnavailableError
from nbstep_runner.state.generations import PIECE_BYTES, DamagedError, Generation, Shelf, StoredFile

AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Restored:
    """What a folder was filled from, and the newest generation that is whole and was not wanted."""

    generation: Generation | None
    unwanted: Generation | None


def restore(
    shelf: Shelf, folder: Path, *, wanted: Callable[[Generation], bool], largest: int, warn: Callable[[str], None]
) -> Restored:
    """Fill an empty folder from the newest generation that is wanted and whole, if there is one.

    Args:
        shelf: What is stored; it has been looked at.
        folder: Empty again where a generation turns out to be damaged while it is fetched.
        wanted: Whether a generation may be gone on from.
        largest: How many bytes the folder may hold.
        warn: Told of each generation that is damaged.

    Raises:
        BadInputError: The generation is larger than the folder may be.
        StorageUnavailableError, StorageDeniedError: It cannot be read, or not be written here: to begin anew would give
            away what is stored.
    """
    unwanted: Generation | None = None
    for number in shelf.numbers:
        try:
            generation = shelf.read(number)
            if wanted(generation):
                _check_size(generation, largest)
                _fill(shelf, folder, generation)
                return Restored(generation, unwanted)
            unwanted = unwanted or generation
        except DamagedError as damage:
            warn(f"generation {number} of the state is damaged and passed over: {damage}")
            _empty(folder)
        except OSError as error:
            raise StorageUnavailableError(
                f"generation {number} of the state cannot be restored: {error.strerror or error}",
                hint="Free space where temporary files are, or set TMPDIR to a folder that can be written.",
            ) from error
    return Restored(None, unwanted)


def _check_size(generation: Generation, largest: int) -> None:
    if generation.size > largest:
        raise BadInputError(
            f"the state holds {generation.size} bytes, and the run may keep {largest}",
            hint="Raise --state-limit, or begin anew with --force.",
        )


def _fill(shelf: Shelf, folder: Path, generation: Generation) -> None:
    for path in sorted(generation.folders):
        (folder / path).mkdir()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-restore") as pool:
        try:
            for _ in pool.map(partial(_write, shelf, folder), generation.files):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write(shelf: Shelf, folder: Path, file: StoredFile) -> None:
    path = folder / file.path
    with path.open("xb") as target:
        for index, piece in enumerate(file.pieces):
            data = shelf.read_piece(piece)
            if len(data) != min(PIECE_BYTES, file.size - index * PIECE_BYTES):
                raise DamagedError(f"a piece of {file.path!r} has another size")
            target.write(data)
    path.chmod(file.mode & 0o777 | 0o600)
    os.utime(path, ns=(file.modified_ns, file.modified_ns))


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
