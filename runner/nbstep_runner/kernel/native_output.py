"""What native code prints while its kernel cannot take it: while a call holds the interpreter's lock, and at a crash.

ipykernel redirects its stdout and stderr to pipes that it reads itself. A call that holds the interpreter's lock and
prints more than a pipe holds would wait for ever for the thread that reads, and that thread for the lock. So the runner
reads those pipes too, but only when something has waited in them for a while and the kernel has said nothing meanwhile.
"""

from __future__ import annotations

import codecs
import os
import select
import stat
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from nbstep_runner.kernel.wire import Message

NAMES: Final = {1: "stdout", 2: "stderr"}
PATIENCE_SECONDS: Final = 0.3
"""How long a kernel may leave something in its pipe; Python's threads hand the lock on each 5 ms."""
TAKE_BYTES: Final = 2**20
ONCE: Final = select.EPOLLIN | select.EPOLLONESHOT


class NativeOutput:
    """The reading ends of the pipes that are a kernel's stdout and stderr.

    Args:
        pid: A kernel that is ready, so that its pipes are in place.
        own: A pipe of ours that the kernel may have as its stderr, which is not one of them.
    """

    def __init__(self, pid: int, own: int) -> None:
        self._epoll = select.epoll()
        self._pipes: dict[int, str] = {}
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}
        self._noticed_at: float | None = None
        self._stuck = False
        for number, name in NAMES.items():
            with suppress(OSError):
                self._add(os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), name, own)

    def _add(self, pipe: int, name: str, own: int) -> None:
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode) or os.path.sameopenfile(pipe, own):
            os.close(pipe)
            return
        self._pipes[pipe] = name
        self._decoders[pipe] = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._epoll.register(pipe, ONCE)

    def fileno(self) -> int:
        """Becomes readable when something comes; then :meth:`notice` has to be called."""
        return self._epoll.fileno()

    def notice(self, now: float) -> None:
        """Something has come; it is looked at again at :attr:`due`."""
        self._epoll.poll(0)
        if self._noticed_at is None:
            self._noticed_at = now

    @property
    def due(self) -> float | None:
        """When :meth:`take_stuck` has something to do, by the monotonic clock."""
        if self._noticed_at is None:
            return None
        return self._noticed_at if self._stuck else self._noticed_at + PATIENCE_SECONDS

    def take_stuck(self, now: float, heard_at: float) -> Iterator[Message]:
        """What the kernel has left in its pipes, where it has said nothing since it came.

        Args:
            now: By the monotonic clock.
            heard_at: When the kernel last said something.
        """
        if self._noticed_at is None or self.due is None or now < self.due:
            return
        self._stuck = heard_at < self._noticed_at
        self._noticed_at = None
        if self._stuck:
            messages = list(self.take())
            self._stuck = bool(messages)
            yield from messages
        for pipe in self._pipes:
            self._epoll.modify(pipe, ONCE)

    def take(self) -> Iterator[Message]:
        """What is in the pipes, as messages of the kernel, at most a megabyte of each."""
        for pipe, name in self._pipes.items():
            with suppress(BlockingIOError):
                if text := self._decoders[pipe].decode(os.read(pipe, TAKE_BYTES)):
                    yield Message(type="stream", parent_id="", content={"name": name, "text": text}, size=len(text))

    def close(self) -> None:
        """Let go of the pipes."""
        self._epoll.close()
        for pipe in self._pipes:
            os.close(pipe)
