"""A token kept in a browser: a page that asks for one, and a cookie that has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from nbstep.server.bodies import read_form
from nbstep.server.config import Config
from nbstep.server.rendering import HEADERS, templates
from nbstep.server.team.identity import Identity

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

PATH: Final = "/sign-in"
COOKIE: Final = "nbstep-token"


class SignIn:
    """Asks for a token, and gives it to the browser to keep until it is closed.

    Args:
        config: The server's.
        known: Tells who has a token.
    """

    def __init__(self, config: Config, known: Callable[[str], Awaitable[Identity | None]]) -> None:
        self._limits = config.limits
        self._is_secure = (config.url or "").startswith("https:")
        self._known = known
        self._template = templates().get_template("sign-in.html")

    def page(self, scope: Scope, *, wrong: bool = False) -> Response:
        """The page that asks, in the place of the one that was asked for."""
        path = scope["path"].removeprefix(scope["root_path"])
        query = scope["query_string"].decode("latin-1")
        wanted = path + (f"?{query}" if query else "")
        text = self._template.render(base=scope["root_path"], wanted="/" if path == PATH else wanted, wrong=wrong)
        return Response(text, 401, HEADERS | {"WWW-Authenticate": "Bearer"}, "text/html")

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """The answer to a form with a token.

        Raises:
            Problem: It is too large or too slow.
        """
        if scope["method"] != "POST":
            return self.page(scope)
        given = await read_form(Request(scope, receive), self._limits)
        token = given.get("token", "").strip()
        if await self._known(token) is None:
            return self.page(scope, wrong=True)
        base = scope["root_path"]
        wanted = "/" + given.get("wanted", "").lstrip("/\\")  # two slashes would name another host
        answer = RedirectResponse(f"{base}{wanted}", 303, HEADERS)
        answer.set_cookie(COOKIE, token, path=base or "/", secure=self._is_secure, httponly=True, samesite="lax")
        return answer
