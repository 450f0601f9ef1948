"""The files that came back of a run: fetched from storage, and only as the record says they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from nbstep_runner.contract import FILES, CollectedFile, Pattern
from nbstep_runner.errors import BadInputError, StorageDeniedError
from nbstep_runner.stores import Store, below, checksum, sibling, write_file


def file_uri(output_uri: str, path: str) -> str:
    """Where a collected file of the run with that output lies."""
    return below(sibling(output_uri, FILES), path)


def chosen(files: Iterable[CollectedFile], only: Iterable[str]) -> list[CollectedFile]:
    """Those that a pattern takes, or the only one; all of them where there is none.

    Raises:
        BadInputError: No file is taken by one of the patterns.
    """
    files, patterns = list(files), [Pattern.of(text) for text in ((only,) if isinstance(only, str) else only)]
    for pattern in patterns:
        if not any(pattern.takes(file.path) for file in files):
            raise BadInputError(
                f"no collected file is taken by {pattern.text!r}", hint="See what there is: nbstep files RUN."
            )
    return [file for file in files if not patterns or any(pattern.takes(file.path) for pattern in patterns)]


def download(store: Store, output_uri: str, file: CollectedFile, folder: Path) -> Path:
    """Fetch one file to its path below a folder, over what is there.

    Raises:
        BadInputError: Its path leaves the folder, or what is stored is not what the record names.
        InputNotFoundError, StorageUnavailableError, StorageDeniedError: It cannot be read, or not be written here.
    """
    parts = PurePosixPath(file.path).parts
    target = folder / file.path
    if not parts or ".." in parts or file.path.startswith("/") or "\0" in file.path:
        raise BadInputError(f"the record names a file outside of the run: {file.path!r}")
    data = store.read(file_uri(output_uri, file.path)).data
    if checksum(data) != file.checksum:
        raise BadInputError(
            f"{file.path} is not the file that the record names: its checksum differs",
            hint="The run was made again since: look at its record once more.",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.resolve().is_relative_to(folder.resolve()):
            raise BadInputError(f"{file.path} would be written outside of {folder}: a folder on the way is a link")
        write_file(target, data)
    except OSError as error:
        raise StorageDeniedError(
            f"{target} cannot be written: {error.strerror or error}", hint="Name another folder."
        ) from error
    return target
