"""What comes by the descriptors of a slim kernel's stdout and stderr: see ``slim_ipykernel``.

Loaded by path; it imports nothing of ours.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import struct
import sys
import termios
import threading
from contextlib import suppress
from typing import Any

PIPE_BYTES = 2**20
F_SETPIPE_SZ = 1031  # ``fcntl`` has it since Python 3.10


def patch_pipes(iostream: Any) -> None:
    """Give the classes of ``ipykernel.iostream`` the behaviour that ``slim_ipykernel`` promises of descriptors."""
    out_stream = iostream.OutStream
    fileno = out_stream.fileno

    def watch(self: Any) -> None:
        try:
            _reader(self).watch()
        except Exception:  # noqa: BLE001 - as ipykernel's own watcher does: kept, and shown when the stream closes
            self._exc = sys.exc_info()

    def take(self: Any) -> None:
        if self._buffer_lock._is_owned() or not self._is_master_process():
            return  # who takes now may wait for the lock that this thread has; in a fork, it may be taken for ever
        if self._fid is not None and self._should_watch:
            _reader(self).take()

    def watched_fileno(self: Any) -> int:
        return int(self._original_stdstream_fd if self._should_watch else fileno(self))

    out_stream._watch_pipe_fd = watch
    out_stream._nbstep_take = take
    out_stream.fileno = watched_fileno


def _pending_bytes(descriptor: int) -> int:
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


class _PipeReader:
    """Takes what is written to a redirected file descriptor; one reader at a time, whoever comes first."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = threading.RLock()  # the handler of a signal may print while its thread takes
        self._takes = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        os.set_blocking(stream._fid, False)
        with suppress(OSError):  # a user's pipes have a limit together; a smaller one is as right
            fcntl.fcntl(stream._fid, F_SETPIPE_SZ, PIPE_BYTES)

    def take(self) -> None:
        """Write what waits in the pipe now to the stream; a process that goes on printing is not waited for.

        It may be gone again: where this process is held up for long, the runner takes it (``native_output``).
        """
        with self._lock, suppress(BlockingIOError):
            if not self._takes and (waiting := _pending_bytes(self._stream._fid)):
                self._takes = True  # the stream, written to, would take again
                try:
                    data = os.read(self._stream._fid, waiting)
                    if not self._stream._should_watch and data.endswith(b"\0"):
                        data = data[:-1]  # it is being closed, which writes this to wake whoever waits
                    if text := self._decoder.decode(data):
                        self._stream.write(text)
                finally:
                    self._takes = False

    def watch(self) -> None:
        """Take whatever comes, until the stream is closed."""
        poll = select.poll()
        poll.register(self._stream._fid, select.POLLIN)
        while self._stream._should_watch and poll.poll():
            self.take()


_readers_lock = threading.Lock()


def _reader(stream: Any) -> _PipeReader:
    reader: _PipeReader | None = stream.__dict__.get("_nbstep_reader")
    if reader is None:
        with _readers_lock:
            reader = stream.__dict__.get("_nbstep_reader")
            if reader is None:  # else another thread has made it meanwhile: there is one, for what it has half decoded
                reader = stream._nbstep_reader = _PipeReader(stream)
    return reader
