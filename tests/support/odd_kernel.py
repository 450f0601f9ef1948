"""A kernel that speaks the protocol as badly as each cell's source says; a program of its own, for a kernelspec."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import time
from pathlib import Path
from typing import Any

import zmq

REPLY = {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}
LATE = {"status": "error", "ename": "E", "evalue": "late", "traceback": []}
IDLE = ("status", {"execution_state": "idle"})
Step = float | bytes | dict[str, Any] | tuple[str, dict[str, Any] | bytes] | tuple[str, dict[str, Any], str]
WAYS: dict[str, list[Step]] = {
    "well": [REPLY, IDLE],
    "two replies": [REPLY, LATE, IDLE],
    "idle before it is done": [IDLE, 1.5, ("stream", {"name": "stdout", "text": "more"}), REPLY],
    "never idle": [REPLY],
    "no reply": [IDLE],
    "messages of no type that is known": [("mystery", {"x": 1}), REPLY, IDLE],
    "bytes that are no text": [("stream", b'{"name":"stdout","text":"\xff"}'), REPLY, IDLE],
    "frames that are no message": [b"x", b"<IDS|MSG>", ("stream", b"nonsense"), REPLY, IDLE],
    "a message that another signed": [("stream", {"name": "stdout", "text": "forged"}, "another"), REPLY, IDLE],
    "a reply without a status": [{}, IDLE],
    "an error with wrong types": [("error", {"ename": "E", "traceback": "t"}), {"status": "error"}, IDLE],
}
"""What follows a request to execute: publications (signed with another key), lone frames, replies, seconds to wait."""


class Odd:
    """One kernel, listening where a connection file says."""

    def __init__(self, file: str) -> None:
        self._connection = json.loads(Path(file).read_text())
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._shell, self._control = self._bound(zmq.ROUTER, "shell"), self._bound(zmq.ROUTER, "control")
        self._iopub, self._heartbeat = self._bound(zmq.PUB, "iopub"), self._bound(zmq.REP, "hb")
        self._stdin = self._bound(zmq.ROUTER, "stdin")

    def serve(self) -> None:
        """Answer until a request asks it to end."""
        poller = zmq.Poller()
        for each in (self._shell, self._control, self._heartbeat):
            poller.register(each, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._heartbeat in ready:
                self._heartbeat.send_multipart(self._heartbeat.recv_multipart())
            for socket in (self._control, self._shell):
                if socket not in ready:
                    continue
                identity, _, _, header, _, _, content = socket.recv_multipart()
                self._header = json.loads(header)
                match self._header["msg_type"]:
                    case "kernel_info_request":
                        self._publish("status", {"execution_state": "busy"})
                        self._send(socket, identity, "kernel_info_reply", {"language_info": {"name": "odd"}})
                        self._publish("status", {"execution_state": "idle"})
                    case "execute_request":
                        self._execute(identity, json.loads(content)["code"])
                    case "shutdown_request":
                        return

    def _execute(self, identity: bytes, how: str) -> None:
        self._publish("status", {"execution_state": "busy"})
        for step in WAYS[how]:
            match step:
                case float():
                    time.sleep(step)
                case bytes():
                    self._iopub.send_multipart([step])
                case tuple():
                    self._publish(*step)
                case reply:
                    self._send(self._shell, identity, "execute_reply", reply)

    def _bound(self, kind: int, channel: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        separator = "-" if self._connection["transport"] == "ipc" else ":"
        port = self._connection[f"{channel}_port"]
        socket.bind(f"{self._connection['transport']}://{self._connection['ip']}{separator}{port}")
        return socket

    def _publish(self, kind: str, content: dict[str, Any] | bytes, key: str | None = None) -> None:
        self._send(self._iopub, b"topic", kind, content, key)

    def _send(
        self,
        socket: zmq.Socket[bytes],
        address: bytes,
        kind: str,
        content: dict[str, Any] | bytes,
        key: str | None = None,
    ) -> None:
        header = {
            "msg_id": str(time.monotonic_ns()),
            "session": "s",
            "username": "u",
            "msg_type": kind,
            "version": "5.3",
        }
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        parts = [json.dumps(header).encode(), json.dumps(self._header).encode(), b"{}", body]
        signature = hmac.new((key or self._connection["key"]).encode(), b"".join(parts), hashlib.sha256).hexdigest()
        socket.send_multipart([address, b"<IDS|MSG>", signature.encode(), *parts])


if __name__ == "__main__":
    Odd(sys.argv[1]).serve()
