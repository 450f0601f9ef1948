"""Patterns for files of a working directory: which of them a run is to keep."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
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
        return len(self.segments) in self._reached(path)

    def leads_into(self, folder: str) -> bool:
        """Whether a file below a folder may be one of those."""
        return bool(self._reached(folder))

    def _reached(self, path: str) -> set[int]:
        """How many segments may have been read with a path's names; where it is all of them, what is below is taken."""
        reached = {0}
        for name in path.split("/"):
            for at, segment in enumerate(self.segments):
                if segment == ANY_FOLDERS and at in reached:  # it may stand for no folder
                    reached.add(at + 1)
            if len(self.segments) in reached:
                break
            reached = {after for at in reached for after in _after(at, self.segments[at], name)}
        return reached


def _after(at: int, segment: str, name: str) -> tuple[int, ...]:
    """How many segments have been read after a name, if the one at this place takes it."""
    if segment == ANY_FOLDERS:
        return () if name.startswith(".") else (at,)
    return (at + 1,) if _fits(name, segment) else ()


def _fits(name: str, segment: str) -> bool:
    return fnmatchcase(name, segment) and (segment.startswith(".") or not name.startswith("."))
