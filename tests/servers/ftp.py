"""pyftpdlib, an FTP server, as the example of a scheme that only fsspec serves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import ThreadedFTPServer

from servers.ports import LOOPBACK

USER, PASSWORD = "runner", "s3cret-word"


@dataclass(frozen=True)
class FtpServer:
    port: int
    root: Path

    @property
    def uri(self) -> str:
        return f"ftp://{USER}:{PASSWORD}@{LOOPBACK}:{self.port}/"


@contextmanager
def running(folder: Path) -> Iterator[FtpServer]:
    root = folder / "root"
    root.mkdir()
    logging.getLogger("pyftpdlib").setLevel(logging.ERROR)
    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, str(root), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer})
    server = ThreadedFTPServer((LOOPBACK, 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"handle_exit": False}, daemon=True)
    thread.start()
    try:
        yield FtpServer(server.address[1], root)
    finally:
        server.close_all()
        thread.join(timeout=5)
