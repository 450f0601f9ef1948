"""What is written to a slim kernel's stdout and stderr: see ``slim_ipykernel``.

Loaded by path; it imports nothing of ours, and needs what ``slim_pipes`` has done.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

FLUSH_SECONDS = 0.01
PIECE = 2**18
"""Characters after which what was printed is sent; as many again may be printed meanwhile."""
LARGE_MESSAGE = 2**16
OTHERS_NEED_SECONDS = 0.0005
PATIENCE_SECONDS = 10.0
"""How long a thread that prints waits for the thread that sends, which may itself wait for a lock of user code."""


_lock: Any = threading.RLock()
"""Of the buffers of all streams; reentrant, since the handler of a signal may print while its thread does."""


def patch_streams(iostream: Any) -> None:
    """Give the classes of ``ipykernel.iostream`` the behaviour that ``slim_ipykernel`` promises."""
    out_stream = iostream.OutStream
    flush, send = out_stream.flush, out_stream._flush
    out_stream.flush_interval = FLUSH_SECONDS

    def prompt_flush(self: Any) -> None:
        self._nbstep_take()
        with _lock:
            holds_text = any(buffer.tell() for buffer in self._buffers.values())
        holds_text = holds_text or _is_sending(self)
        if holds_text and _lock._is_owned():  # within this thread's own print, by a signal's handler
            if _is_sending(self):  # what was taken before goes first: that thread sends this after it
                self.pub_thread.schedule(self._flush)
            else:
                hand_over(self)
        elif holds_text and _is_sent_by_another(self.pub_thread):
            _sending(self).wait()
        elif holds_text:
            flush(self)

    def noted_send(self: Any) -> None:
        self._nbstep_sends = True
        try:
            send(self)
        finally:
            self._nbstep_sends = False

    _share_lock(out_stream)
    _patch_write(out_stream)
    _let_be_heard(out_stream)
    _patch_schedule(iostream.IOPubThread)
    _patch_send(iostream.IOPubThread)
    out_stream.flush = prompt_flush
    out_stream._flush = noted_send


def _share_lock(out_stream: Any) -> None:
    """Let streams made from now on share one lock, whose holder is known, and which no forked child finds taken."""
    make = out_stream.__init__

    def make_with_lock(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        self._buffer_lock = _lock

    out_stream.__init__ = make_with_lock
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def _patch_write(out_stream: Any) -> None:
    """Write to the buffer of the last write while the stream, the cell and its buffers are still the same.

    A line costs half of what it does with ipykernel's own ``write``. Each branch of it is for one text: a ``print`` of
    two words is four. A large text is written in pieces, and whoever fills a buffer waits until the piece before it has
    been sent. What others printed before a text is not looked for where nobody had the time to print anything. A forked
    child goes back to ipykernel's own way, which has to find out in each write that it is one.
    """
    write, monotonic, lock = out_stream.write, time.monotonic, _lock
    last: tuple[Any, Any, Any, Any] = (None, None, None, None)
    written_at = 0.0
    room = 0

    def prompt_write(self: Any, string: str) -> Any:
        nonlocal written_at, room
        now = monotonic()
        since, written_at = now - written_at, now
        if since < OTHERS_NEED_SECONDS:
            header = self._parent_header.get(None)
            try:
                with lock:
                    stream, parent, buffers, append = last
                    if (
                        self is stream
                        and (header is parent or (header is None and self._parent_header_global is parent))
                        and buffers is self._buffers
                        and len(string) < room
                        and self.pub_thread is not None
                    ):
                        written = append(string)
                        room -= written
                        return written
            except (TypeError, ValueError):  # no text, or a signal's handler has printed since: its buffer is closed
                pass
        return careful_write(self, string)

    def careful_write(self: Any, string: str) -> Any:
        nonlocal last, room
        if isinstance(string, str) and len(string) > PIECE:
            return sum(self.write(string[start : start + PIECE]) for start in range(0, len(string), PIECE))
        _make_way(self, last[0])
        with lock:
            written = _written(self, string, write)
            last, room = _written_to(self)
        if room < 0:
            _send_in_time(self)
        return written

    def undo() -> None:
        out_stream.write = write

    out_stream.write = prompt_write
    os.register_at_fork(after_in_child=undo)


def _make_way(stream: Any, last: Any) -> None:
    """Let what came before a text go before it: what others printed to its stream, and what another stream holds."""
    stream._nbstep_take()
    if last not in (stream, None):
        hand_over(last)


def _written(stream: Any, string: str, write: Callable[[Any, str], Any]) -> Any:
    """Write as ipykernel does, to what is sent next also where a signal's handler sends what there was meanwhile."""
    before = stream._buffers
    written = write(stream, string)
    if stream._buffers is not before:
        for header, left in list(before.items()):  # written after the handler had looked
            text = left.getvalue()
            stream._buffers[header].write(text)
    return written


def _written_to(stream: Any) -> tuple[tuple[Any, Any, Any, Any], int]:
    """Where the stream has just written to, and how many characters that leaves of a piece; its lock is held."""
    header = stream._parent_header.get(None)
    parent = header if header is not None else stream._parent_header_global
    buffer = stream._buffers.get(frozenset(parent.items()))
    if buffer is None:  # it has been sent at once
        return (stream, None, None, None), 0
    try:
        return (stream, parent, stream._buffers, buffer.write), PIECE - buffer.tell()
    except ValueError:  # a signal's handler has sent it
        return (stream, None, None, None), 0


def _send_in_time(stream: Any) -> None:
    """Have a full buffer sent, once the one before it has been."""
    before: _Sent | None = stream.__dict__.get("_nbstep_sent")
    if before is not None and _is_sent_by_another(stream.pub_thread):
        before.wait()
    stream._nbstep_sent = _sending(stream)


def _sending(stream: Any) -> _Sent:
    """Have what a stream holds sent, as ipykernel's ``OutStream.flush`` does."""
    sent = _Sent()
    stream.pub_thread.schedule(stream._flush)
    stream.pub_thread.schedule(sent.set)
    return sent


def await_sent(pub_thread: Any) -> None:
    """Wait until a thread has sent what it has been given."""
    sent = _Sent()
    pub_thread.schedule(sent.set)
    sent.wait()


class _Sent:
    """Something has been sent: an event whose lock nobody can leave held before it is set.

    Where an interrupt comes while a thread waits for a ``threading.Event``, the event's own lock can stay taken. The
    IOPub thread, which sets it, would then wait for ever, and the kernel with it.
    """

    def __init__(self) -> None:
        self._unsent = threading.Lock()
        self._unsent.acquire()

    def set(self) -> None:
        """Say so, once."""
        self._unsent.release()

    def wait(self) -> None:
        """Wait until it is set, for :data:`PATIENCE_SECONDS` at most."""
        if self._unsent.acquire(timeout=PATIENCE_SECONDS):
            self._unsent.release()


def _patch_schedule(pub_thread: Any) -> None:
    """Let a thread that prints not wait until the IOPub thread has read its wakes: that one may wait for the lock."""
    import zmq

    schedule = pub_thread.schedule

    def schedule_without_waiting(self: Any, function: Any) -> None:
        if not _lock._is_owned() or not self.thread.is_alive():
            schedule(self, function)
            return
        self._events.append(function)
        with suppress(zmq.Again):  # a thousand wakes are unread then: one of them is for this too
            self._event_pipe.send(b"", zmq.NOBLOCK)

    pub_thread.schedule = schedule_without_waiting


def _patch_send(pub_thread: Any) -> None:
    """Let a thread that publishes something large wait until it has been sent, so that little of it is held here."""
    send = pub_thread.send_multipart

    def bounded_send(self: Any, message: Any, *args: Any, **kwargs: Any) -> None:
        send(self, message, *args, **kwargs)
        if sum(memoryview(part).nbytes for part in message) > LARGE_MESSAGE:
            sent = _Sent()
            self.schedule(sent.set)
            if _is_sent_by_another(self):
                sent.wait()

    pub_thread.send_multipart = bounded_send


def _is_sending(stream: Any) -> bool:
    """Whether text has been taken from the stream's buffer that may not be in the queue of what is sent yet.

    What is published meanwhile would overtake it.
    """
    return bool(stream.__dict__.get("_nbstep_sends"))


def _is_sent_by_another(pub_thread: Any) -> bool:
    """Whether another thread sends what this one publishes, and can: it may need the lock.

    This thread has it where the handler of a signal has interrupted its own print.
    """
    if pub_thread is None or _lock._is_owned():  # none of a stream that is closed
        return False
    return bool(pub_thread.thread.is_alive()) and pub_thread.thread is not threading.current_thread()


def _let_be_heard(out_stream: Any) -> None:
    """Tell whoever hears a stream what it sends, and send each text once, whoever a signal's handler interrupts."""

    def heard_buffers(self: Any) -> Iterator[tuple[Any, str]]:
        buffers = self._rotate_buffers()
        for parent in list(buffers):
            buffer = buffers.pop(parent, None)
            if buffer is None:  # the handler has sent it
                continue
            text = buffer.getvalue()
            buffer.close()
            hear = self.__dict__.get("_nbstep_hear")
            if hear is not None and text:
                with suppress(Exception):  # no text is lost for it
                    hear(text)
            yield dict(parent), text

    out_stream._flush_buffers = heard_buffers


@contextmanager
def heard(stream: Any, hear: Callable[[str], None]) -> Iterator[None]:
    """Have ``hear`` told what is printed to a stream meanwhile, as it is sent: a write costs nothing for it."""
    hand_over(stream)
    before, stream._nbstep_hear = stream.__dict__.get("_nbstep_hear"), hear
    try:
        yield
    finally:
        try:
            hand_over(stream)
        finally:
            stream._nbstep_hear = before


def hand_over(stream: Any) -> None:
    """Send what a stream holds before another one takes more: the buffers of two streams know no common order.

    This thread puts it in the queue itself; before the thread that sends did so, what is published would overtake.
    """
    held = [piece for piece in stream._flush_buffers() if piece[1]] if stream._buffers else []
    try:
        if _is_sending(stream) and _is_sent_by_another(stream.pub_thread):
            _sending(stream).wait()  # what was taken before this has to be in the queue before it
    finally:  # an interrupt ends the wait; it loses nothing
        _send(stream, held)


def _send(stream: Any, pieces: list[tuple[Any, str]]) -> None:
    stream.session.pid = os.getpid()  # as ipykernel has it: what a forked child prints is passed to its parent
    for parent, text in pieces:
        message = stream.session.msg("stream", {"name": stream.name, "text": text}, parent=parent)
        stream.session.send(stream.pub_thread, message, ident=stream.topic)
