"""Who is let in to a team's server: callers who are known, who do not ask too often, and no page of another site."""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final

from anyio import CapacityLimiter, fail_after, to_thread
from starlette.datastructures import Headers

from nbstep.profiles.service import origin_of
from nbstep.server.access import OPEN, SAFE, cookie
from nbstep.server.callers import let_in
from nbstep.server.config import Config
from nbstep.server.pages.rendering import SIGNED_IN, refused
from nbstep.server.problems import Problem, forbidden, token_missing
from nbstep.server.team.identity import FileOfTokens, Identity, Proxy, Reviewer
from nbstep.server.team.rights import Rights
from nbstep.server.team.sign_in import OUT, PATH, SignIn
from nbstep_runner.errors import NbstepError

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

_LOG: Final = logging.getLogger("nbstep")
STATIC: Final = "/static/"
"""How the paths begin of what pages look like, which is told to everybody as :data:`OPEN` is."""
LONGEST_TOKEN: Final = 2**14
REVIEWS_AT_ONCE: Final = 8
"""Tokens that a cluster is asked about at once: many wrong ones must not keep all threads, nor the cluster, busy."""
READS_AT_ONCE: Final = 4
LOOKUP_SECONDS: Final = 10.0
"""How long a token waits to be looked up."""
MOST_REMEMBERED: Final = 10_000
"""Callers that are remembered; one that is forgotten begins with a full bucket."""


class Doors:
    """All ways by which a caller can be known.

    Args:
        file: Tokens of a file, which are looked up first.
        reviewer: Is asked about all others.
        proxy: Its word goes before a token's.
    """

    def __init__(self, file: FileOfTokens | None, reviewer: Reviewer | None, proxy: Proxy | None) -> None:
        self.proxy = proxy
        self._file = file
        self._reviewer = reviewer
        self._reading = CapacityLimiter(READS_AT_ONCE)
        self._reviewing = CapacityLimiter(REVIEWS_AT_ONCE)

    @property
    def take_tokens(self) -> bool:
        """Whether somebody can be known by a token."""
        return self._file is not None or self._reviewer is not None

    async def by_token(self, token: str) -> Identity | None:
        """Who has a token; ``None`` if nobody does. Only tokens that have to be reviewed wait for one another.

        Raises:
            NbstepError: It cannot be found out now.
        """
        if not token or len(token) > LONGEST_TOKEN:
            return None
        if self._file is not None:
            who = await to_thread.run_sync(self._file.identity, token, limiter=self._reading)
            if who is not None:
                return who
        if self._reviewer is None:
            return None
        known = self._reviewer.remembered(token)
        if known is not None:
            return known.value
        return await to_thread.run_sync(self._reviewer.identity, token, limiter=self._reviewing)


class TeamAccess:
    """Lets requests through to an application whose callers are known, and tells it who asks and what they may do.

    A browser sends a cookie, and passes a proxy's door, whoever made it ask: a request that has no token of its own
    and changes something must come from the server's own pages.
    """

    def __init__(self, app: ASGIApp, config: Config, doors: Doors, rights: Rights) -> None:
        self._app = app
        self._own = None if config.url is None else origin_of(config.url)
        self._doors = doors
        self._rights = rights
        self._requests = Rate(config.limits.requests_per_minute, "requests")
        self._changes = Rate(config.limits.submissions_per_minute, "runs started, cancelled and run again")
        self._sign_in = SignIn(config, self._by_token) if doors.take_tokens else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or path in OPEN or path.startswith(STATIC):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            if self._sign_in is not None and path in (PATH, OUT):
                self._check_site(scope, headers)
                answer = await self._sign_in.answer(scope, receive)
                await answer(scope, receive, send)
                return
            who = await self._let_in(scope, headers)
        except Problem as problem:
            answer = await self._refusal(scope, receive, headers, problem)
            await answer(scope, receive, send)
            return
        let_in(scope, who.name, partial(self._rights.may, who))
        await self._app(scope, receive, send)

    async def _refusal(self, scope: Scope, receive: Receive, headers: Headers, problem: Problem) -> Response:
        """What a request is answered that may not pass: a browser whose caller is not known is asked for a token."""
        if problem.status != 401 or self._sign_in is None or "text/html" not in headers.get("accept", ""):
            return refused(scope, problem)
        try:
            self._check_site(scope, headers)
            return await self._sign_in.instead(scope, receive)
        except Problem as another:
            return refused(scope, another)

    async def _let_in(self, scope: Scope, headers: Headers) -> Identity:
        """Who asks, once the request may pass.

        Raises:
            Problem: It may not, or it cannot be found out now.
        """
        who, is_own = await self._known(scope, headers)
        if who is None:
            detail = "the request has no token, or none that is known here"
            raise token_missing(detail, "Send one as Authorization: Bearer TOKEN.")
        scope.setdefault("state", {})["caller"] = who.name  # so that what is refused is told of as well
        if not is_own:
            self._check_site(scope, headers)
        self._requests.take(who.name)
        if scope["method"] not in SAFE:
            self._changes.take(who.name)
        return who

    async def _known(self, scope: Scope, headers: Headers) -> tuple[Identity | None, bool]:
        """Who asks, and whether the request itself says so, rather than the browser or the proxy that sends it."""
        address = scope["client"][0] if scope.get("client") else ""
        who = self._doors.proxy.identity(address, headers) if self._doors.proxy else None
        if who is not None:
            return who, False
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return await self._by_token(token.strip()), True
        return await self._by_token(cookie(headers, SIGNED_IN)), False

    async def _by_token(self, token: str) -> Identity | None:
        """Who has a token; ``None`` if nobody does.

        Raises:
            Problem: It cannot be found out now. Why is for the log: a stranger asks.
        """
        try:
            with fail_after(LOOKUP_SECONDS):
                return await self._doors.by_token(token)
        except NbstepError as error:
            reason = error.message
        except TimeoutError:
            reason = f"it was not looked up within {LOOKUP_SECONDS:g} s"
        _LOG.error("a token cannot be taken: %s", reason)
        raise Problem(
            status=503,
            reference="internal",
            detail="callers cannot be looked up now; the server's log says why",
            hint="Ask again in a moment.",
            headers={"Retry-After": "5"},
        )

    def _check_site(self, scope: Scope, headers: Headers) -> None:
        """Whether a request comes from the server's own pages, where that counts.

        Raises:
            Problem: It does not.
        """
        origin, own = headers.get("origin"), self._own or f"{scope['scheme']}://{headers.get('host', '')}"
        if origin == own or (origin is None and scope["method"] in SAFE):
            return
        raise forbidden(
            "the request does not come from this site's own pages" if origin else "the request has no Origin",
            hint=f"Send a token as Authorization: Bearer TOKEN, or come from {own}.",
        )


class Rate:
    """At most so many requests of one caller in a minute, which may come all at once. For one thread.

    Args:
        per_minute: How many.
        what: What is counted, for people.
    """

    def __init__(self, per_minute: int, what: str) -> None:
        self._every = 60.0 / per_minute
        self._what = what
        self._empty_until: OrderedDict[str, float] = OrderedDict()

    def take(self, caller: str) -> None:
        """Count one.

        Raises:
            Problem: It is one too many now.
        """
        now = time.monotonic()
        full_at = max(self._empty_until.get(caller, now), now) + self._every
        if full_at - now > 60.0 + self._every / 2:  # the half is for rounding
            raise Problem(
                status=429,
                reference="busy",
                detail=f"more {self._what} than one caller may make in a minute",
                hint="Come again a little later.",
                headers={"Retry-After": str(math.ceil(full_at - now - 60.0))},
            )
        self._empty_until[caller] = full_at
        self._empty_until.move_to_end(caller)
        while len(self._empty_until) > MOST_REMEMBERED:
            self._empty_until.popitem(last=False)
