"""Jupyter messages to frames and back (Jupyter messaging protocol 5.4, "The wire protocol")."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import msgspec
import zmq

from nbstep_runner.kernel import kernel_json
from nbstep_runner.kernel.large_text import LargeText

DELIMITER: Final = b"<IDS|MSG>"
EMPTY: Final = b"{}"
PROTOCOL: Final = "5.4"
PARTS: Final = 5
"""Frames after the delimiter: signature, header, parent header, metadata, content."""
ONE_SHOT_BYTES: Final = 2**16
"""Up to here a message is signed in one call on its joined parts, which takes a quarter of the time of five calls."""
NOBLOCK: Final = int(zmq.NOBLOCK)


class _Header(msgspec.Struct):
    """What is read of a header; the rest of it is passed over."""

    msg_type: Any = None
    msg_id: Any = None
    date: Any = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message from a kernel.

    Attributes:
        date: When the kernel sent it, as the kernel wrote it: ISO 8601.
        parent_id: The ``msg_id`` of the request that it belongs to; empty where there is none.
        buffers: Binary parts after the content, as widgets send them.
        size: Bytes of the content.
        large_text: Stands for ``content["text"]`` where that is large.
        too_deep: Something in the content was nested too deeply and is left out of it.
    """

    type: str
    parent_id: str
    content: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    buffers: tuple[bytes, ...] = ()
    date: str = ""
    size: int = 0
    large_text: LargeText | None = None
    too_deep: bool = False

    def texts(self) -> Iterator[str]:
        """The text of a ``stream`` message, in pieces where it is large."""
        return iter((self.content.get("text", ""),)) if self.large_text is None else self.large_text.pieces()


_HEADERS: Final = msgspec.json.Decoder(_Header)


class Wire:
    """Signs, writes and reads messages of one connection."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._mac = hmac.new(self._key, digestmod=hashlib.sha256)
        self.session = uuid4().hex
        self._count = 0
        self._parent = b""
        self._parent_id = ""

    def request(self, kind: str, content: dict[str, Any], metadata: dict[str, Any]) -> tuple[str, list[bytes]]:
        """A new message's id and its frames."""
        self._count += 1
        msg_id = f"{self.session}_{self._count}"
        header = {
            "msg_id": msg_id,
            "session": self.session,
            "username": "nbstep",
            "date": datetime.now(UTC).isoformat(),
            "msg_type": kind,
            "version": PROTOCOL,
        }
        parts = [msgspec.json.encode(part) for part in (header, {}, metadata, content)]
        return msg_id, [DELIMITER, self._sign(parts), *parts]

    def receive(self, socket: zmq.Socket[bytes]) -> Message | None:
        """The next message that waits on a socket; ``None`` where it is none: not signed by our kernel, or of no type.

        Other parts that are not what the protocol says count as empty.

        The content's frame is read in place, not copied: it can hold 100 MB.

        Raises:
            zmq.Again: No message waits.
        """
        frame = socket.recv(NOBLOCK, copy=False)
        while frame.bytes != DELIMITER:
            if not frame.more:
                return None
            frame = socket.recv(copy=False)
        frames: list[zmq.Frame] = []
        while len(frames) < PARTS and frame.more:
            frame = socket.recv(copy=False)
            frames.append(frame)
        if len(frames) < PARTS:
            return None
        buffers = socket.recv_multipart() if frame.more else []
        content = frame.buffer
        signature, *heads = (each.bytes for each in frames[:-1])
        if not hmac.compare_digest(self._sign([*heads, content]), signature):
            return None
        header = _header(heads[0])
        if not isinstance(header.msg_type, str):
            return None
        large_text = LargeText.of(content) if header.msg_type == "stream" else None
        value, too_deep = (large_text.rest, False) if large_text else _bounded_object(content)
        return Message(
            type=header.msg_type,
            parent_id=self._id_of_parent(heads[1]),
            content=value,
            metadata={} if heads[2] == EMPTY else _bounded_object(heads[2])[0],
            buffers=tuple(buffers),
            date=_text(header.date),
            size=len(content),
            large_text=large_text,
            too_deep=too_deep,
        )

    def _id_of_parent(self, parent: bytes) -> str:
        """The ``msg_id`` of a parent header, which all messages of a cell have in common: it is read once for them."""
        if parent != self._parent:
            self._parent, self._parent_id = parent, _text(_header(parent).msg_id)
        return self._parent_id

    def _sign(self, parts: list[Any]) -> bytes:
        if sum(map(len, parts)) <= ONE_SHOT_BYTES:
            return hmac.digest(self._key, b"".join(parts), "sha256").hex().encode()
        mac = self._mac.copy()
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()


def _header(data: bytes) -> _Header:
    """A header; one that is no plain JSON object is read as far as it can be."""
    try:
        return _HEADERS.decode(data)
    except (ValueError, RecursionError):
        fields = _bounded_object(data)[0]
        return _Header(fields.get("msg_type"), fields.get("msg_id"), fields.get("date"))


def _bounded_object(data: bytes | memoryview) -> tuple[dict[str, Any], bool]:
    """The JSON object and whether something in it was too deep; an empty one for anything else."""
    try:
        value, too_deep = kernel_json.decode_bounded(data)
    except ValueError:
        return {}, False
    return (value, too_deep) if isinstance(value, dict) else ({}, too_deep)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
