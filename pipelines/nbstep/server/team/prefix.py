"""A service below a prefix of its address, whether or not the proxy before it takes the prefix away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from nbstep_runner.errors import BadInputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


def checked_prefix(url: str | None, paths: Iterable[str]) -> str:
    """The path of a service's URL, such as ``/nbstep``; empty if there is none.

    Args:
        url: Where the service is shown.
        paths: The application's own.

    Raises:
        BadInputError: The prefix begins as one of them does: it could not be told whether it is still there.
    """
    prefix = urlsplit(url or "").path
    first = prefix.split("/")[1] if prefix else None
    if first in {path.split("/")[1] for path in paths}:
        hint = "Show the service below another path, such as /nbstep."
        raise BadInputError(f"the path of url, {prefix}, begins with /{first}, as the service's own do", hint=hint)
    return prefix


class Prefixed:
    """Tells an application the prefix that its addresses begin with.

    Args:
        app: It.
        prefix: As :func:`checked_prefix` has it.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http":
            path = scope["path"]
            whole = path if f"{path}/".startswith(f"{self._prefix}/") else f"{self._prefix}{path}"
            whole = f"{whole}/" if whole == self._prefix else whole
            scope = {**scope, "path": whole, "root_path": self._prefix}
        await self._app(scope, receive, send)
