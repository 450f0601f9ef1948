"""What a notebook has written in its working directory: which files come back, and which are left behind."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from nbstep_runner.contract import STANDARD_STREAM, LeftBehind, Pattern, RunSpec
from nbstep_runner.inventory import FoundFile, Inventory, Refused, TooManyEntriesError, take_inventory
from nbstep_runner.session.places import Places

MOST_ENTRIES: Final = 50_000
LARGEST: Final = 2 * 2**30
"""Bytes of a file that every store reads back as a whole."""
NAMED: Final = 20
NOT_LOOKED_INTO: Final = frozenset({"__pycache__", ".ipynb_checkpoints", ".ipython"})
"""Folders that Python and Jupyter make by themselves; a kernel that starts early its own, where the home is here."""
_NOTHING: Final = Inventory((), (), ())


@dataclass(frozen=True, slots=True)
class Written:
    """What the notebook wrote.

    Attributes:
        wanted: What is to be stored, the smallest first, so that as much as possible fits into a grace period.
        others: What nobody asked for.
        refused: What was asked for and is not stored, with the reasons.
    """

    wanted: tuple[FoundFile, ...] = ()
    others: tuple[FoundFile, ...] = ()
    refused: tuple[Refused, ...] = ()


class WorkingFiles:
    """A run's working directory, looked at before its first cell and after its last.

    A file that was there before and has not changed is not the notebook's. What nobody asked for is told of where the
    directory is the run's own, because then it goes when the run does.

    Args:
        folder: The working directory.
        spec: Its patterns say what is wanted.

    Raises:
        BadInputError: A pattern leaves the working directory.
    """

    def __init__(self, folder: Path, spec: RunSpec) -> None:
        self.folder = folder
        self._patterns = tuple(map(Pattern.of, spec.collect))
        self._ours = _own_places(folder, spec)
        self._placed = {file.path.partition("/")[0] for file in spec.files}
        self._own = False
        self._before: dict[str, tuple[int, ...]] = {}
        self._closed: frozenset[Refused] = frozenset()

    def wants(self, reported: Sequence[str]) -> bool:
        """Whether anything may have to be stored."""
        return bool(self._patterns or reported)

    def look(self) -> None:
        """Remember what is there before the first cell."""
        with suppress(OSError):
            self._own = {entry.name for entry in os.scandir(self.folder)} <= self._placed | self._ours | NOT_LOOKED_INTO
        if self._own or self._patterns:
            with suppress(TooManyEntriesError):  # told of at the end
                found = self._inventory(self._patterns)
                self._before = {file.path: file.mark for file in found.files}
                self._closed = frozenset(found.unread)

    def written(self, reported: Sequence[str]) -> Written:
        """What the notebook has written.

        Args:
            reported: Paths of files and folders that it reported as results.
        """
        named, refused = self._named(reported)
        patterns = (*self._patterns, *named)
        if not self._own and not patterns:
            return Written(refused=tuple(refused))
        try:
            found = self._inventory(patterns)
        except TooManyEntriesError:
            return Written(refused=(Refused(".", f"it holds more than {MOST_ENTRIES} files and folders"),))
        new = [file for file in found.files if _is_taken(file.path, named) or self._before.get(file.path) != file.mark]
        wanted = [file for file in new if _is_taken(file.path, patterns)]
        large = [Refused(file.path, f"it is larger than {LARGEST >> 30} GiB") for file in wanted if file.size > LARGEST]
        refused += [*large, *(each for each in found.refused if _is_taken(each.path, patterns))]
        refused += [each for each in found.unread if each not in self._closed and _may_hold(each.path, patterns)]
        refused += [Refused(one.text, "it is not there") for one in named if not _any_of(found, one)]
        return Written(
            wanted=tuple(sorted((file for file in wanted if file.size <= LARGEST), key=lambda file: file.size)),
            others=tuple(file for file in new if self._own and not _is_taken(file.path, patterns)),
            refused=tuple(refused),
        )

    def unmatched(self, stored: Iterable[str]) -> list[str]:
        """The patterns that none of these files' paths fits."""
        paths = list(stored)
        return [one.text for one in self._patterns if not any(map(one.takes, paths))]

    def _inventory(self, patterns: Sequence[Pattern]) -> Inventory:
        def enter(path: str) -> bool:
            if path in self._ours or path.rpartition("/")[2] in NOT_LOOKED_INTO:
                return False
            return self._own or any(one.leads_into(path) for one in patterns)

        try:
            found = take_inventory(self.folder, most=MOST_ENTRIES, enter=enter)
        except OSError:  # it was removed, or closed to us, by the notebook
            return _NOTHING
        files = tuple(file for file in found.files if file.path not in self._ours)
        return replace(found, files=files)

    def _named(self, reported: Sequence[str]) -> tuple[list[Pattern], list[Refused]]:
        """The reported paths as patterns that take just these; those elsewhere are refused."""
        named: list[Pattern] = []
        refused: list[Refused] = []
        root = os.path.realpath(self.folder)
        for text in dict.fromkeys(reported):
            path = PurePosixPath(os.path.normpath(os.path.join(root, text)))  # noqa: PTH118 - a text of the notebook's
            if path.is_relative_to(root) and path != PurePosixPath(root):
                below = path.relative_to(root)
                named.append(_Exactly(str(below), below.parts))
            else:
                refused.append(Refused(text, "it lies outside of the working directory"))
        return named, refused


class _Exactly(Pattern):
    """The file or folder of one path, in which no character stands for others."""

    __slots__ = ()

    def takes(self, path: str) -> bool:
        return path == self.text or path.startswith(f"{self.text}/")

    def leads_into(self, folder: str) -> bool:
        return self.takes(folder) or self.text.startswith(f"{folder}/")


def left_behind(files: Collection[FoundFile]) -> LeftBehind | None:
    """What the record says of files that are stored nowhere; ``None`` if there are none."""
    if not files:
        return None
    names = sorted(file.path for file in files)
    return LeftBehind(count=len(files), size=sum(file.size for file in files), names=tuple(names[:NAMED]))


def _is_taken(path: str, patterns: Iterable[Pattern]) -> bool:
    return any(one.takes(path) for one in patterns)


def _may_hold(path: str, patterns: Iterable[Pattern]) -> bool:
    """Whether what could not be looked at may be, or hold, what the patterns take."""
    return any(one.takes(path) or one.leads_into(path) for one in patterns)


def _any_of(found: Inventory, named: Pattern) -> bool:
    paths = (*(file.path for file in found.files), *found.folders, *(each.path for each in found.refused))
    return any(map(named.takes, paths))


def _own_places(folder: Path, spec: RunSpec) -> frozenset[str]:
    """What the run itself writes into its working directory, relative to it."""
    if spec.output_uri == STANDARD_STREAM or "://" in spec.output_uri:
        return frozenset()
    root, places = os.path.realpath(folder), Places.of(spec)
    everything = (*astuple(places), *places.folders, spec.input_uri)
    found = (PurePosixPath(os.path.realpath(path)) for path in everything if "://" not in path)
    return frozenset(str(path.relative_to(root)) for path in found if path.is_relative_to(root))
