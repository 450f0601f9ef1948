"""Jupyter messages to frames and back (Jupyter messaging protocol 5.4, "The wire protocol")."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import msgspec
import zmq

DELIMITER: Final = b"<IDS|MSG>"
PROTOCOL: Final = "5.4"


@dataclass(frozen=True, slots=True)
class Message:
    """A message from a kernel.

    Attributes:
        parent_id: The ``msg_id`` of the request that it belongs to; empty where there is none.
        buffers: Binary parts after the content, as widgets send them.
    """

    type: str
    parent_id: str
    content: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    buffers: tuple[bytes, ...] = ()


class Wire:
    """Signs, writes and reads messages of one connection."""

    def __init__(self, key: str) -> None:
        self._mac = hmac.new(key.encode(), digestmod=hashlib.sha256)
        self._session = uuid4().hex
        self._count = 0

    def request(self, kind: str, content: dict[str, Any], metadata: dict[str, Any]) -> tuple[str, list[bytes]]:
        """A new message's id and its frames."""
        self._count += 1
        msg_id = f"{self._session}_{self._count}"
        header = {
            "msg_id": msg_id,
            "session": self._session,
            "username": "nbstep",
            "date": datetime.now(UTC).isoformat(),
            "msg_type": kind,
            "version": PROTOCOL,
        }
        parts = [msgspec.json.encode(part) for part in (header, {}, metadata, content)]
        return msg_id, [DELIMITER, self._sign(parts), *parts]

    def receive(self, socket: zmq.Socket[bytes]) -> Message | None:
        """The next message that waits on a socket; ``None`` where it is not ours (its signature does not fit).

        The content's frame is read in place, not copied: it can hold 100 MB.

        Raises:
            zmq.Again: No message waits.
        """
        while socket.recv(zmq.NOBLOCK) != DELIMITER:
            if not socket.getsockopt(zmq.RCVMORE):
                return None
        signature, header, parent, metadata = (socket.recv() for _ in range(4))
        content = socket.recv(copy=False).buffer
        buffers = socket.recv_multipart() if socket.getsockopt(zmq.RCVMORE) else []
        if not hmac.compare_digest(self._sign([header, parent, metadata, content]), signature):
            return None
        return Message(
            type=_decode(header)["msg_type"],
            parent_id=_decode(parent).get("msg_id", ""),
            content=_decode(content),
            metadata=_decode(metadata),
            buffers=tuple(buffers),
        )

    def _sign(self, parts: list[Any]) -> bytes:
        mac = self._mac.copy()
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()


def _decode(data: bytes | memoryview) -> Any:
    """JSON as kernels write it: ``NaN``, lone surrogates and bytes that are not UTF-8 occur, and are not lost."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = bytes(data).decode("utf-8", "replace")
        return _without_surrogates(json.loads(text))


def _without_surrogates(value: Any) -> Any:
    """Half of a surrogate pair cannot be written as UTF-8 again: it becomes the replacement character."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    return value
