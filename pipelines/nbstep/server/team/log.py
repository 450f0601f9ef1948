"""The server's log: JSON, one line each, and among them what an audit reads: who has done what to which run."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

AUDIT: Final = logging.getLogger("nbstep.audit")
QUIET: Final = ("/healthz", "/readyz", "/metrics", "/static/")
"""What is asked all the time, and of no run."""


LONGEST_PATH: Final = 400


class JsonLines(logging.Formatter):
    """A record as a line of JSON, with the names that Cloud Logging understands."""

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= getattr(record, "told", {})
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told)


def log_to(stream: TextIO) -> None:
    """Write all that is logged in this process there, a line each."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    AUDIT.setLevel(logging.INFO)
    logging.getLogger("nbstep").setLevel(logging.INFO)


class Audited:
    """Tells of each request who made it, what was asked, of which run, and how it was answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and tell of its answer when it begins."""
        if scope["type"] != "http" or scope["path"].removeprefix(scope["root_path"]).startswith(QUIET):
            await self._app(scope, receive, send)
            return
        started, state = time.monotonic(), scope.setdefault("state", {})

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                AUDIT.info("request", extra={"told": _told(scope, state, message["status"], started)})
            await send(message)

        await self._app(scope, receive, told)


def _told(scope: Scope, state: dict[str, Any], status: int, started: float) -> dict[str, Any]:
    client = scope.get("client")
    told = {
        "caller": state.get("caller"),
        "method": scope["method"],
        "path": scope["path"][:LONGEST_PATH],
        "folder": state.get("folder"),
        "run": state.get("run") or scope.get("path_params", {}).get("id"),
        "status": status,
        "seconds": round(time.monotonic() - started, 3),
        "address": client[0] if client else None,
    }
    return {name: value for name, value in told.items() if value is not None}
