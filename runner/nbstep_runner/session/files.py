"""Declared files: from storage into the working directory, nowhere else, and only as they were declared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from nbstep_runner.contract import InputFile
from nbstep_runner.errors import BadInputError, StorageUnavailableError
from nbstep_runner.stores import Store, checksum, write_file

AT_ONCE: Final = 8


def place_files(files: Sequence[InputFile], folder: Path, open_store: Callable[[str], Store]) -> None:
    """Fetch every file into ``folder``.

    Raises:
        BadInputError: A path leaves the folder, or the bytes are not those that were declared.
        InputNotFoundError, StorageDeniedError, StorageUnavailableError: A file cannot be read, or not be written here.
    """
    if not files:
        return
    for file in files:
        _check_path(file.path)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-files") as pool:
        list(pool.map(partial(_place, folder=folder.resolve(), open_store=open_store), files))


def _check_path(path: str) -> None:
    parts = PurePosixPath(path).parts
    plain = parts and not any(character in path for character in "\\\0")
    if not plain or path.startswith("/") or any(part in {".", ".."} for part in path.split("/")):
        raise BadInputError(
            f"the file's place {path!r} is refused", hint="Name a place inside the working directory, without '..'."
        )


def _place(file: InputFile, *, folder: Path, open_store: Callable[[str], Store]) -> None:
    data = open_store(file.uri).read(file.uri).data
    if checksum(data) != file.checksum:
        raise BadInputError(
            f"the file {file.path} is not the one that was declared: its checksum differs", hint="Submit the run again."
        )
    target = folder / file.path
    if not target.parent.resolve().is_relative_to(folder):
        raise BadInputError(
            f"the file's place {file.path} leads out of the working directory",
            hint="A folder on the way is a link: name another place.",
        )
    try:
        write_file(target, data)
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        raise BadInputError(
            f"the file {file.path} cannot be placed: something else has its name, or that of its folder",
            hint="Give each file a place of its own, in an empty working directory.",
        ) from error
    except OSError as error:
        raise StorageUnavailableError(f"the file {file.path} cannot be written: {error.strerror or error}") from error
