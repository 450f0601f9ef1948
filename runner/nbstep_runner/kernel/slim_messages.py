"""How a kernel's messages are written and sent: see ``slim_ipykernel``. Loaded by path; it imports nothing of ours."""

from __future__ import annotations

import sys
import threading
from contextlib import nullcontext, suppress
from typing import Any

HELD_MESSAGES = 2
POLLIN = 1
"""ZMQ's, as a plain number: pyzmq takes longer to compare with its flag than to ask."""
LARGE_TEXT = 2**14
"""Characters of printed text past which escapes cost more than the look for those that are needed."""


def hold_few(application: Any) -> None:
    """Let ZMQ keep few messages for a slow reader: the kernel waits for it, and messages have any size."""
    import zmq

    open_socket = application.init_iopub

    def open_bounded_socket(context: Any) -> None:
        context.setsockopt(zmq.SNDHWM, HELD_MESSAGES)  # of the sockets that this context makes from now on
        open_socket(context)
        context.sockopts.pop(zmq.SNDHWM)

    application.init_iopub = open_bounded_socket


def patch_messages(application: Any) -> None:
    """Give an initialized application's session, sockets and IOPub thread what ``slim_ipykernel`` promises."""
    _pack_any_text(application.session)
    _ask_for_events_directly()
    _never_drop(application)
    _know_the_iopub_thread_alive(application.iopub_thread.thread)


def _pack_any_text(session: Any) -> None:
    """Let a message be sent whose text UTF-8 cannot say: half of a surrogate pair is written as an escape of JSON.

    Jupyter's own packer raises, so that a whole buffer of printed lines would be lost, or the reply to a cell. It also
    makes an encoder for each of the four parts of each message, half of what packing takes; here one is kept.
    """
    import json

    from jupyter_client.jsonutil import json_default
    from jupyter_client.session import json_packer

    pack = session.pack
    encoder = json.JSONEncoder(default=json_default, ensure_ascii=False, allow_nan=False)  # as Jupyter's

    def pack_any(value: Any) -> Any:
        if pack is json_packer:
            with suppress(TypeError, ValueError):
                return (_packed_text(value) or encoder.encode(value)).encode()
        try:
            return pack(value)  # which makes what it can of what JSON has no form for
        except UnicodeEncodeError:
            return json.dumps(value, default=json_default).encode()

    session.pack = pack_any


def _packed_text(content: Any) -> str:
    """The content of a large ``stream`` message, its control characters as they are; empty for any other.

    JSON has six bytes for each of them, which is what a gigabyte of zeros would take most of its time with, at both
    ends. The runner reads them either way.
    """
    if not isinstance(content, dict) or content.keys() != {"name", "text"}:
        return ""
    name, text = content["name"], content["text"]
    if name not in ("stdout", "stderr") or not isinstance(text, str) or len(text) < LARGE_TEXT:
        return ""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{{"name": "{name}", "text": "{escaped}"}}'


def _ask_for_events_directly() -> None:
    """Let a socket's events be a property: each of pyzmq's streams asks for them twice for a message.

    As any option that is read as an attribute, they are found where the lookup of attributes has failed, which takes
    two to three times as long.
    """
    import zmq

    socket: Any = zmq.Socket
    socket.EVENTS = socket.events = property(lambda self: self.get(zmq.EVENTS))


def _never_drop(application: Any) -> None:
    import zmq

    application.iopub_thread.socket.setsockopt(zmq.XPUB_NODROP, 1)


def _know_the_iopub_thread_alive(thread: Any) -> None:
    """Ask whether the IOPub thread lives without a way to be told wrongly that it does not.

    Where the handler of a signal raises within ``Thread.is_alive`` of Python before 3.13, as an interrupt does, the
    thread counts as ended from then on. Whoever publishes would use its socket beside it: messages would be lost or
    torn, or the kernel stop for good.
    """
    if hasattr(thread, "_tstate_lock"):  # which the thread holds as long as it runs
        thread.is_alive = lambda: (lock := thread._tstate_lock) is not None and lock.locked()


def send_at_once(kernelapp: Any) -> None:
    """Let whoever publishes a message send it, and not the IOPub thread, where none waits to be sent.

    Else each message wakes that thread, which then competes with the cell for the interpreter, and so does each of
    ZMQ's notes that one has left, which ipykernel 7 listens for on the same descriptor as for new subscribers. Those
    are welcomed before the next message. Without both a cell of one line takes the kernel a fifth less processor time.

    A socket is used by one thread at a time: by whoever holds its lock, which an interrupt leaves free. Where ZMQ has
    no room for a message, the IOPub thread sends it, and all that come until it has: they keep their order.
    """
    send_whole = _whole_sender()
    if send_whole is not None:
        attributes = {"_send_whole": staticmethod(send_whole)}
        kernelapp.IOPubThread = type("IOPubThread", (_SentAtOnce, kernelapp.IOPubThread), attributes)


class _SentAtOnce:
    """What an ``ipykernel.iostream.IOPubThread`` does in another way."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._socket_in_use = threading.RLock()  # a signal's handler may publish while its thread sends
        super().__init__(*args, **options)

    def _setup_xpub_listener(self) -> None:
        """Listen for nothing: see :meth:`_welcome`."""

    def send_multipart(self: Any, message: Any, flags: int = 0, copy: Any = True, track: Any = False) -> None:
        if flags or track or not copy or not self.thread.is_alive() or not self._has_sent(message):
            super().send_multipart(message, flags, copy=copy, track=track)  # type: ignore[misc]  # of IOPubThread

    def _has_sent(self: Any, message: Any) -> bool:
        import zmq

        if self._events:
            return False
        with self._socket_in_use, suppress(zmq.ZMQError):  # it is closed
            if self.socket.get(zmq.EVENTS) & POLLIN:
                self.schedule(self._welcome)
            return not self._events and bool(self._send_whole(self.socket, message))
        return False

    def _welcome(self: Any) -> None:
        """Answer those who have subscribed since."""
        import zmq

        with self._socket_in_use:
            while self.socket.get(zmq.EVENTS) & POLLIN:
                self._handle_subscription(self.socket.recv_multipart(zmq.NOBLOCK))

    def _really_send(self: Any, *args: Any, **options: Any) -> None:
        lock = self._socket_in_use if self._is_master_process() else nullcontext()  # a fork's may be held for ever
        with lock:
            super()._really_send(*args, **options)  # type: ignore[misc]  # of IOPubThread

    def _handle_event(self: Any, _woken: Any) -> None:
        """Do what waits, each while it is still seen to wait: what is published meanwhile comes after it."""
        for _ in range(len(self._events)):
            try:
                self._events[0]()
            finally:
                self._events.popleft()


def _whole_sender() -> Any:
    """A function that sends all parts of a message or none, and says which; ``None`` where ZMQ is out of reach.

    It is one call: pyzmq sends part by part, and a signal's handler that raises in between would tear the message.
    """
    try:
        import ctypes

        import zmq

        library = ctypes.PyDLL(sys.modules[zmq.backend.Socket.__module__].__file__)
        send = library.zmq_sendiov
    except (ImportError, AttributeError, OSError):
        return None

    class Part(ctypes.Structure):  # of ZMQ's ``struct iovec``
        _fields_ = (("start", ctypes.c_char_p), ("size", ctypes.c_size_t))

    send.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    flags = int(zmq.NOBLOCK) | int(zmq.SNDMORE)  # between the parts: the last one ends the message

    def send_whole(socket: Any, parts: Any) -> bool:
        try:
            array = (Part * len(parts))(*[Part(part, len(part)) for part in parts])
        except TypeError:  # a part that is not bytes
            return False
        return bool(send(socket.underlying, array, len(parts), flags) != -1)

    return send_whole
