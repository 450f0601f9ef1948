"""The floor: a stock ipykernel over ipc sockets, driven by hand. ``python floor.py NOTEBOOK``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import zmq
from jupyter_client.session import Session


def main(notebook: str) -> None:
    """Run every code cell, keep nothing."""
    with tempfile.TemporaryDirectory() as folder:
        connection: dict[str, str | int] = {
            f"{name}_port": port for port, name in enumerate(("shell", "iopub", "stdin", "control", "hb"), 1)
        }
        connection |= {"transport": "ipc", "ip": f"{folder}/socket", "key": "key", "signature_scheme": "hmac-sha256"}
        file = Path(folder, "connection.json")
        file.write_text(json.dumps(connection))
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", str(file)]
        kernel = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _drive(f"ipc://{folder}/socket", notebook)
        kernel.wait()


def _drive(address: str, notebook: str) -> None:
    session = Session(key=b"key")
    context = zmq.Context()
    sockets = {}
    for name, kind, port in (("shell", zmq.DEALER, 1), ("iopub", zmq.SUB, 2), ("control", zmq.DEALER, 4)):
        sockets[name] = context.socket(kind)
        sockets[name].setsockopt(zmq.RECONNECT_IVL, 5)
        sockets[name].connect(f"{address}-{port}")
    sockets["iopub"].setsockopt(zmq.SUBSCRIBE, b"")
    session.send(sockets["shell"], "kernel_info_request", {})
    session.recv(sockets["shell"], mode=0)
    for cell in json.loads(Path(notebook).read_text())["cells"]:
        _execute(session, sockets, "".join(cell["source"]))
    session.send(sockets["control"], "shutdown_request", {"restart": False})
    context.destroy(linger=1000)


def _execute(session: Session, sockets: dict[str, zmq.Socket[bytes]], code: str) -> None:
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "user_expressions": {}}
    request = session.send(sockets["shell"], "execute_request", content)
    assert request is not None
    while True:
        _, message = session.recv(sockets["iopub"], mode=0)
        assert message is not None  # the receiving waits
        ended = message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
        if ended and message["parent_header"].get("msg_id") == request["header"]["msg_id"]:
            break
    session.recv(sockets["shell"], mode=0)


if __name__ == "__main__":
    main(sys.argv[1])
