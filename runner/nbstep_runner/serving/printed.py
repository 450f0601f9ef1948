"""What a request prints, told with its id, line by line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from nbstep_runner.serving.calls import REQUEST

LONGEST: Final = 64 * 1024
"""Characters after which a line is told in pieces, so that a request cannot hold text without bound."""


class Printed:
    """Stands in for the ``write`` of one of the kernel's streams.

    What a thread writes that works for a request is told by lines; everything else goes its usual way. The method is
    replaced, not the stream, because handlers of ``logging`` keep the stream that they found.
    """

    def __init__(self, name: str, stream: Any, tell: Callable[..., None]) -> None:
        self._name = name
        self._stream = stream
        self._tell = tell
        self._begun: dict[str, str] = {}

    def begin(self) -> None:
        """Stand in, if that is not so: IPython takes what was put there during a cell away again at its end."""
        if self._stream.__dict__.get("write") != self.write:
            self._stream.write = self.write
            self._stream.writelines = self.writelines

    def write(self, text: str) -> Any:
        """See :meth:`io.TextIOBase.write`."""
        request = REQUEST.get()
        if not request or not isinstance(text, str):
            return type(self._stream).write(self._stream, text)
        *lines, rest = (self._begun.pop(request, "") + text).split("\n")
        while len(rest) > LONGEST:
            lines.append(rest[:LONGEST])
            rest = rest[LONGEST:]
        for line in lines:
            self._tell(line, request=request, stream=self._name)
        if rest:
            self._begun[request] = rest
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """See :meth:`io.IOBase.writelines`."""
        for line in lines:
            self.write(line)

    def end(self, request: str) -> None:
        """The request has its answer: tell the line that it left open."""
        if rest := self._begun.pop(request, ""):
            self._tell(rest, request=request, stream=self._name)


class Prints:
    """What requests print to the streams of this process; around each request."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self._streams = (Printed("stdout", sys.stdout, tell), Printed("stderr", sys.stderr, tell))

    def begin(self) -> None:
        """A request is about to be answered."""
        for each in self._streams:
            each.begin()

    def end(self, request: str) -> None:
        """A request has its answer."""
        for each in self._streams:
            each.end(request)
