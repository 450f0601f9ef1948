"""The runner, struck at an operation of its stores: ``struck_runner.py BLOW PATTERN INPUT OUTPUT …``.

As with ``held_runner``, the product has no hooks: the stores that the runner opens are wrapped from outside. The blow
falls at the first operation that the pattern matches, which is asked about texts such as ``write /x/out.ipynb``.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from nbstep_runner.cli import main as cli
from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.session.stores import StoreSource
from nbstep_runner.stores import Store
from nbstep_runner.testing.faults import Call, FaultyStore

T = TypeVar("T")

KILLED: Final = "killed"
"""SIGKILL, before the operation."""
STOPPED: Final = "stopped"
"""SIGTERM, as at an eviction or a suspension."""
FULL: Final = "full"
"""From here on every write is refused: there is no room."""


class Blow:
    """What happens at an operation, whichever of the runner's stores it is for."""

    def __init__(self, blow: str, pattern: str) -> None:
        self._blow = blow
        self._pattern = re.compile(pattern)
        self._fallen = False
        self._lock = threading.Lock()

    def meet(self, call: Call) -> None:
        """Let the blow fall, if it is for this operation."""
        with self._lock:
            now = not self._fallen and bool(self._pattern.fullmatch(f"{call.operation} {call.uri}"))
            self._fallen |= now
        if now and self._blow != FULL:
            os.kill(os.getpid(), signal.SIGKILL if self._blow == KILLED else signal.SIGTERM)
        if self._fallen and self._blow == FULL and call.operation == "write":
            raise StorageUnavailableError("there is no room")


class StruckStore(FaultyStore):
    """A store whose operations the blow may meet."""

    def __init__(self, store: Store, blow: Blow) -> None:
        super().__init__(store)
        self._blow = blow

    def _do(self, call: Call, action: Callable[[], T]) -> T:
        self._blow.meet(call)
        return action()


def main() -> None:
    """Wrap what opens stores, and run."""
    blow, opened = Blow(sys.argv[1], sys.argv[2]), StoreSource.__call__
    del sys.argv[1:3]

    def struck(self: StoreSource, uri: str) -> Store:
        return StruckStore(opened(self, uri), blow)

    StoreSource.__call__ = struck  # type: ignore[method-assign]  # from outside, as said above
    cli.main()


if __name__ == "__main__":
    main()
