"""A team's server, put together: its log, its doors, its bounds, and the service behind them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.routing import Route

from nbstep.server.app import application
from nbstep.server.config import Config
from nbstep.server.following import Streams
from nbstep.server.listening import Server, listening_socket
from nbstep.server.team.access import Doors, TeamAccess
from nbstep.server.team.bounded import Bounded
from nbstep.server.team.identity import FileOfTokens, Proxy
from nbstep.server.team.log import Audited, log_to
from nbstep.server.team.prefix import Prefixed, checked_prefix
from nbstep.server.team.rights import Rights
from nbstep.server.team.sign_in import OUT, PATH
from nbstep_runner.errors import UsageError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp


def team(config: Config, streams: Streams) -> ASGIApp:
    """The service of a configuration, for those who are known by it.

    Raises:
        UsageError: It says of nobody how they are known.
        NbstepError: The file of tokens or the path of ``url`` does not fit, or no cluster is known here.
    """
    access = config.access
    if access is None:
        hint = "Add access: with kubernetes, proxy or tokens; `nbstep ui` serves yourself alone."
        raise UsageError("the configuration does not say how callers are known", hint=hint)
    file = FileOfTokens(Path(access.tokens)) if access.tokens is not None else None
    reviews = None
    if access.kubernetes is not None:
        from nbstep.server.team.cluster import Reviews

        reviews = Reviews(access.kubernetes)
    doors = Doors(file, reviews, Proxy(access.proxy) if access.proxy else None)
    served = application(config, streams)
    bounded = Bounded(served, config.limits)
    known = TeamAccess(bounded, config, doors, Rights(config, reviews.allows if reviews else None))
    return Prefixed(Audited(known), checked_prefix(config.url, own_paths(served)))


def own_paths(served: Starlette) -> list[str]:
    """The paths at which a team's server answers."""
    return [PATH, OUT, *(route.path for route in served.routes if isinstance(route, Route))]


def serve_team(config: Config, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, which is an end like any other.

    Args:
        config: What is served, to whom.
        host: An address of this machine.
        port: 0 takes a free one.
        tell: Is told the address once it is listened on.

    Raises:
        UsageError: The address cannot be listened on, or nobody could be let in.
    """
    streams = Streams(config.limits.streams)
    app = team(config, streams)
    try:
        listening = listening_socket(host, port)
    except OSError as error:
        reason = os.strerror(error.errno or 0) if error.errno and error.errno > 0 else str(error)
        raise UsageError(
            f"{host} port {port} cannot be listened on: {reason}", hint="Choose others with --host and --port."
        ) from None
    log_to(sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM):  # what is left to do once the server has ended: nothing
        signal.signal(number, lambda _number, _frame: None)
    with closing(listening):
        name = f"[{host}]" if ":" in host else host
        tell(f"http://{name}:{listening.getsockname()[1]}{urlsplit(config.url or '').path}/")
        Server(app, streams, config.limits.connections).run([listening])
