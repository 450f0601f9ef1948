"""The files that a notebook needs beside it: collected here, fetched into its working directory there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import checksum

MAX_FILES: Final = 5000
MAX_BYTES: Final = 2**30
SKIPPED: Final = frozenset({"__pycache__", ".git", ".ipynb_checkpoints", ".venv", "node_modules"})

Files = str | Path | Sequence[str | Path] | Mapping[str, str | Path]
"""Paths of files and folders, or such paths by the place in the working directory that each gets."""


@dataclass(frozen=True, slots=True)
class Bundled:
    """A local file, and its place in the working directory."""

    path: str
    source: Path
    checksum: str


def collect(files: Files, base: Path) -> tuple[Bundled, ...]:
    """Every file that ``files`` names; folders with all that is in them.

    A file below ``base``, the notebook's folder, keeps its place relative to it; any other gets its own name.

    Raises:
        InputNotFoundError: A file does not exist.
        BadInputError: They are too many or too large, or two share a place.
    """
    pairs = list(_pairs(files, base))
    if len(pairs) > MAX_FILES or sum(source.stat().st_size for _, source in pairs) > MAX_BYTES:
        raise BadInputError(
            f"the declared files are more than {MAX_FILES} or larger than {MAX_BYTES >> 30} GiB",
            hint="Put data into the bucket once, and pass its URI as a parameter.",
        )
    _check_unique([place for place, _ in pairs])
    return tuple(Bundled(place, source, checksum(source)) for place, source in pairs)


def _pairs(files: Files, base: Path) -> Iterator[tuple[str, Path]]:
    given_alone = [files] if isinstance(files, str | Path) else files
    named: Iterable[tuple[str | None, str | Path]] = (
        given_alone.items() if isinstance(given_alone, Mapping) else ((None, path) for path in given_alone)
    )
    for place, given in named:
        path = Path(given) if Path(given).is_absolute() or Path(given).exists() else base / given
        if not path.exists():
            raise InputNotFoundError(f"the declared file {given} does not exist")
        top = _checked(place) if place is not None else _place(path, base)
        if path.is_file():
            yield top, path
        for source in sorted(path.rglob("*")) if path.is_dir() else ():
            below = source.relative_to(path)
            if source.is_file() and not SKIPPED.intersection(below.parts):
                yield f"{top}/{below.as_posix()}".removeprefix("./"), source


def _checked(place: str) -> str:
    plain = PurePosixPath(place)
    if plain.is_absolute() or ".." in plain.parts or not place:
        raise BadInputError(
            f"the declared place {place!r} is not in the working directory",
            hint="Name a place relative to it, without '..', such as 'data/lookup.csv'.",
        )
    return place


def _place(path: Path, base: Path) -> str:
    resolved = path.resolve()
    root = base.resolve()
    return resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else resolved.name


def _check_unique(places: list[str]) -> None:
    twice = {place for place in places if places.count(place) > 1} if len(places) != len(set(places)) else set()
    if twice:
        raise BadInputError(
            f"two declared files share the place {min(twice)}",
            hint="Give files as a mapping from places in the working directory to paths.",
        )
