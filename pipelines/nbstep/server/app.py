"""The service as an ASGI application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from nbstep.server.config import Config
from nbstep.server.folders import RunFolders
from nbstep.server.problems import Problem, tell_problem
from nbstep.server.runs import Runs
from nbstep_runner.errors import NbstepError

if TYPE_CHECKING:
    from starlette.requests import Request


def application(config: Config) -> Starlette:
    """The service of a configuration; who may ask it is decided before it, by what stands in :mod:`.access`."""
    folders = RunFolders(config)
    handlers: dict[Any, Any] = dict.fromkeys((HTTPException, NbstepError, Problem, Exception), tell_problem)
    routes = [Route("/healthz", _alive), *Runs(folders, config.limits).routes()]
    return Starlette(routes=routes, exception_handlers=handlers)


async def _alive(_: Request) -> Response:
    return Response("ok\n", media_type="text/plain")
