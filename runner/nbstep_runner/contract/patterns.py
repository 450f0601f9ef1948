"""Patterns for files of a working directory: which of them a run is to keep."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Final

from nbstep_runner.errors import BadInputError

ANY_FOLDERS: Final = "**"
MOST_SEGMENTS: Final = 32
HINT: Final = "Name files or folders inside the working directory, such as '*.csv', 'plots/**/*.png' or 'model/'."


@dataclass(frozen=True, slots=True)
class Pattern:
    """A relative path in which ``*``, ``?`` and ``[…]`` stand for characters of a segment, ``**`` for any folders.

    It takes the files of that name, and everything below folders of that name. As in a shell, a name that begins with
    a dot is taken only by a segment that does, or below a folder that is taken.
    """

    text: str
    segments: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Pattern:
        """The pattern that a text says.

        Raises:
            BadInputError: It leaves the working directory, or says nothing.
        """
        segments = tuple(part for part in text.split("/") if part not in {"", "."})
        wrong = text.startswith("/") or not segments or ".." in segments or len(segments) > MOST_SEGMENTS
        if wrong or not text.isprintable() or "\\" in text:
            raise BadInputError(f"files cannot be collected by {text!r}", hint=HINT)
        return cls(text, segments)

    def takes(self, path: str) -> bool:
        """Whether a file is one of those."""
        return _takes(self.segments, tuple(path.split("/")))

    def leads_into(self, folder: str) -> bool:
        """Whether a file below a folder may be one of those."""
        return _leads(self.segments, tuple(folder.split("/")))


@cache
def _takes(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    if not pattern or not path:
        return not pattern
    if pattern[0] == ANY_FOLDERS:
        return _takes(pattern[1:], path) or (not path[0].startswith(".") and _takes(pattern, path[1:]))
    return _fits(path[0], pattern[0]) and _takes(pattern[1:], path[1:])


@cache
def _leads(pattern: tuple[str, ...], folder: tuple[str, ...]) -> bool:
    if not pattern or not folder:
        return True
    if pattern[0] == ANY_FOLDERS:
        return _leads(pattern[1:], folder) or (not folder[0].startswith(".") and _leads(pattern, folder[1:]))
    return _fits(folder[0], pattern[0]) and _leads(pattern[1:], folder[1:])


def _fits(name: str, segment: str) -> bool:
    return fnmatchcase(name, segment) and (segment.startswith(".") or not name.startswith("."))
