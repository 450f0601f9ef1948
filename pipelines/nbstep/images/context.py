"""The files that an image is built from, and the digest that names them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from nbstep.images.recipe import FILES
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import Source

LEFT_OUT: Final = frozenset({".git", "__pycache__", ".ipynb_checkpoints", ".venv", ".mypy_cache", ".ruff_cache"})
EXECUTABLE: Final = 0o755
PLAIN: Final = 0o644
TAG_LENGTH: Final = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the context.

    Attributes:
        path: Its place there, with ``/`` between segments.
        source: The file on this machine, or its bytes.
        mode: Its rights: only whether it can be executed is kept.
        size: In bytes.
        sha256: Of its bytes.
    """

    path: str
    source: Source
    mode: int
    size: int
    sha256: str

    def read(self) -> bytes:
        """Its bytes."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


def entry(path: str, source: Source) -> Entry:
    """A file at its place in the context; one that is given by its bytes is plain.

    Raises:
        InputNotFoundError: It does not exist.
        BadInputError: It is not a regular file.
    """
    if isinstance(source, bytes):
        return Entry(path, source, PLAIN, len(source), hashlib.sha256(source).hexdigest())
    if not source.exists():
        raise InputNotFoundError(f"there is no file {source}")
    if not source.is_file():
        raise BadInputError(f"{source} is not a regular file")
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    mode = EXECUTABLE if os.access(source, os.X_OK) else PLAIN
    return Entry(path, source, mode, source.stat().st_size, digest)


def working_files(paths: Iterable[str]) -> tuple[Entry, ...]:
    """The files and folders for the working directory, in the order of their names; caches are left out.

    A path below the working directory of this process keeps its place; another one comes under its own name.

    Raises:
        InputNotFoundError: One does not exist.
        BadInputError: Two would have one place, or one is no file.
    """
    found: dict[str, Entry] = {}
    for path in paths:
        for place, source in _walk(Path(path)):
            new = entry(f"{FILES}/{place}", source)
            if found.setdefault(new.path, new).sha256 != new.sha256:
                raise BadInputError(f"two files would be {place} in the image")
    return tuple(found[name] for name in sorted(found))


def input_digest(dockerfile: str, base: str, platform: str | None, entries: Iterable[Entry]) -> str:
    """What the image is made of, as one sha256 in hex.

    ``base`` is the base image's content (its digest), or its name where nothing better is known.
    """
    files = sorted((each.path, each.mode, each.sha256) for each in entries)
    return hashlib.sha256(msgspec.json.encode([1, dockerfile, base, platform, files])).hexdigest()


def write_context(folder: Path, dockerfile: str, entries: Iterable[Entry]) -> None:
    """Lay the context out as a folder."""
    (folder / "Dockerfile").write_text(dockerfile)
    for each in entries:
        place = folder / each.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(each.read())
        place.chmod(each.mode)


def _walk(path: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    place = _place(path)
    if not path.is_dir():
        yield place, path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        for name in sorted(names):
            source = Path(folder, name)
            yield place / source.relative_to(path).as_posix(), source


def _place(path: Path) -> PurePosixPath:
    """Where a path comes to lie below the working directory."""
    absolute = path.absolute()
    if absolute.is_relative_to(Path.cwd()) and ".." not in path.parts:
        return PurePosixPath(absolute.relative_to(Path.cwd()).as_posix())
    return PurePosixPath(absolute.resolve().name)
