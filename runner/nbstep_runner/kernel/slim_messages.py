"""How a kernel's messages are written and sent: see ``slim_ipykernel``. Loaded by path; it imports nothing of ours."""

from contextlib import suppress
from typing import Any

HELD_MESSAGES = 2
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
    _send_beginning_and_code_together(application.kernel, application.iopub_thread)


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


def _send_beginning_and_code_together(kernel: Any, pub_thread: Any) -> None:
    """Let the message that a cell has begun wait for that of its code, which follows at once.

    Each message wakes the thread that sends, and it then competes with the cell for the interpreter: two times instead
    of three for a cell that shows nothing.
    """
    publish_status = kernel._publish_status

    def publish(status: str, channel: str, parent: Any = None) -> None:
        about = parent or kernel.get_parent(channel)
        if status != "busy" or channel != "shell" or not _tells_its_code(about) or not pub_thread.thread.is_alive():
            publish_status(status, channel, parent)
            return
        pub_thread.schedule = pub_thread._events.append  # for whoever publishes meanwhile, too: the code wakes for all
        try:
            publish_status(status, channel, parent)
        finally:
            del pub_thread.schedule

    kernel._publish_status = publish


def _tells_its_code(request: Any) -> bool:
    """Whether a request is one for a cell, whose code the kernel publishes next."""
    header, content = request.get("header") or {}, request.get("content") or {}
    return header.get("msg_type") == "execute_request" and "code" in content and not content.get("silent", False)
