"""The service as an ASGI application."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Match, Route

from nbstep.server.callers import Right, allowed
from nbstep.server.events import Events
from nbstep.server.folders import RunFolders
from nbstep.server.following import Streams
from nbstep.server.measuring import Measured, Metrics
from nbstep.server.openapi import document
from nbstep.server.pages.compare_page import ComparePage
from nbstep.server.pages.form_pages import FormPages
from nbstep.server.pages.group_pages import GroupPages
from nbstep.server.pages.rendering import Rendering
from nbstep.server.pages.run_pages import RunPages
from nbstep.server.pages.sweep_page import SweepPage
from nbstep.server.problems import Problem, as_problem
from nbstep.server.runs import Runs, as_json
from nbstep.server.started_sweeps import StartedSweeps
from nbstep.server.starting import Starting
from nbstep.server.submit import Submitting
from nbstep.server.sweep_reader import SweepReader
from nbstep.server.sweeps import Sweeps
from nbstep_runner.errors import NbstepError

if TYPE_CHECKING:
    from starlette.requests import Request

    from nbstep.server.config import Config


def application(config: Config, streams: Streams | None = None) -> Starlette:
    """The service of a configuration; who may ask it is decided before it, by what stands in :mod:`.access`.

    Args:
        config: What it is told of its world.
        streams: Closed by whoever ends the server, so that no stream keeps it.
    """
    folders, starting, limits = RunFolders(config), Starting(config), config.limits
    streams = streams or Streams(limits.streams)
    rendering, reader = Rendering(folders), SweepReader(limits.records)
    sweeps = StartedSweeps(starting, limits.records)
    metrics, pages = Metrics(streams), RunPages(folders, rendering, limits.records)

    routes = [
        *_operation(folders, streams, metrics),
        *Runs(folders, limits).routes(),
        *Sweeps(folders, starting, sweeps, reader, limits).routes(),
        *Events(folders, streams, limits).routes(),
        *Submitting(starting, folders, limits).routes(),
        *pages.routes(),
        *GroupPages(folders, rendering).routes(),
        *SweepPage(folders, rendering, reader).routes(),
        *ComparePage(folders, rendering).routes(),
        *FormPages(folders, starting, sweeps, rendering, limits).routes(),
    ]

    def tell(request: Request, error: Exception) -> Response:
        problem = as_problem(error)
        if problem.status == 405:
            problem.headers["Allow"] = ", ".join(_methods(request, routes))
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        is_page = not path.startswith("/v1/") and "text/html" in request.headers.get("accept", "")
        return pages.problem(request, problem) if is_page else problem.response()

    handlers: dict[Any, Any] = dict.fromkeys((HTTPException, NbstepError, Problem, RecursionError, Exception), tell)
    app = Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(Measured, metrics)])
    app.router.redirect_slashes = False  # to an address that whoever asks could have made up, in Host
    return app


def _operation(folders: RunFolders, streams: Streams, metrics: Metrics) -> list[Route]:
    """What is asked by whoever operates it, and by whoever writes a client."""

    async def alive(_: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def ready(_: Request) -> Response:
        return Response("ending\n", 503) if streams.closing else Response("ok\n", media_type="text/plain")

    async def described(_: Request) -> Response:
        return as_json(document())

    def measured(request: Request) -> Response:
        return metrics.answer(map(folders.named, allowed(request, folders, Right.READ)))

    return [
        Route("/healthz", alive),
        Route("/readyz", ready),
        Route("/metrics", measured),
        Route("/openapi.json", described),
    ]


def _methods(request: Request, routes: Sequence[Route]) -> list[str]:
    """What an address may be asked: a route knows only its own methods, and an address can have two."""
    found = (route.methods or () for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for methods in found for method in methods})
