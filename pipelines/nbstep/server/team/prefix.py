"""A service below a prefix of its address, whether or not the proxy before it takes the prefix away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Prefixed:
    """Tells an application the prefix that its addresses begin with.

    Args:
        app: It.
        prefix: Such as ``/nbstep``; empty if there is none.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            path = scope["path"]
            whole = path if f"{path}/".startswith(f"{self._prefix}/") else f"{self._prefix}{path}"
            scope = {**scope, "path": whole, "root_path": self._prefix}
        await self._app(scope, receive, send)
