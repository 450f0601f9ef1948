"""What a slim kernel's stdout and stderr do: see ``slim_ipykernel``. Loaded by path; it imports nothing of ours."""

import codecs
import fcntl
import os
import select
import struct
import sys
import termios
import threading
from typing import Any

FLUSH_SECONDS = 0.01
READ_BYTES = 65536


def _pending_bytes(descriptor: int) -> int:
    answer = fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0")
    return int(struct.unpack("i", answer)[0])


class _PipeReader:
    """Takes what is written to a redirected file descriptor; one reader at a time, whoever comes first."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def take(self) -> None:
        """Write all that waits in the pipe to the stream."""
        with self._lock:
            while waiting := _pending_bytes(self._stream._fid):
                data = os.read(self._stream._fid, min(waiting, READ_BYTES))
                if text := self._decoder.decode(data):
                    self._stream.write(text)

    def watch(self) -> None:
        """Take whatever comes, until the stream is closed."""
        poll = select.poll()
        poll.register(self._stream._fid, select.POLLIN)
        while self._stream._should_watch and poll.poll():
            self.take()


def patch_streams(out_stream: Any) -> None:
    """Give ``ipykernel.iostream.OutStream`` the behaviour that this module's docstring promises."""
    flush = out_stream.flush
    out_stream.flush_interval = FLUSH_SECONDS

    def watch(self: Any) -> None:
        try:
            _reader(self).watch()
        except Exception:  # noqa: BLE001 - as ipykernel's own watcher does: kept, and shown when the stream closes
            self._exc = sys.exc_info()

    def prompt_flush(self: Any) -> None:
        if self._fid is not None and self._should_watch:
            _reader(self).take()
        with self._buffer_lock:
            holds_text = any(buffer.tell() for buffer in self._buffers.values())
        if holds_text:
            flush(self)

    _patch_write(out_stream)
    out_stream._watch_pipe_fd = watch
    out_stream.flush = prompt_flush


def _patch_write(out_stream: Any) -> None:
    """Write to the buffer of the last write while the stream, the cell and its buffers are still the same.

    A forked child goes back to ipykernel's own way, which has to find out in each write that it is one.
    """
    write = out_stream.write
    last: tuple[Any, Any, Any, Any] = (None, None, None, None)

    def prompt_write(self: Any, string: str) -> Any:
        nonlocal last
        parent = self._parent_header.get(None)
        if parent is None:
            parent = self._parent_header_global
        with self._buffer_lock:
            stream, header, buffers, write_on = last
            if stream is self and header is parent and buffers is self._buffers:
                return write_on(string)
        if stream not in (self, None):
            _hand_over(stream)
        with self._buffer_lock:
            written = write(self, string)
            buffer = self._buffers.get(frozenset(parent.items()))
            last = (self, parent, self._buffers, buffer.write) if buffer is not None else (self, None, None, None)
            return written

    def undo() -> None:
        out_stream.write = write

    out_stream.write = prompt_write
    os.register_at_fork(after_in_child=undo)


def _hand_over(stream: Any) -> None:
    """Send what a stream holds before another one takes more: the buffers of two streams know no common order."""
    if held := [piece for piece in stream._flush_buffers() if piece[1]]:
        stream.pub_thread.schedule(lambda: _send(stream, held))


def _send(stream: Any, pieces: list[tuple[Any, str]]) -> None:
    for parent, text in pieces:
        message = stream.session.msg("stream", {"name": stream.name, "text": text}, parent=parent)
        stream.session.send(stream.pub_thread, message, ident=stream.topic)


_readers_lock = threading.Lock()


def _reader(stream: Any) -> _PipeReader:
    with _readers_lock:
        reader: _PipeReader = stream.__dict__.setdefault("_nbstep_reader", _PipeReader(stream))
        return reader
