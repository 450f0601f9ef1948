"""What a server counts of its requests, its streams and its folders' runs, as Prometheus reads it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response
from starlette.routing import Route

from nbstep.server.folders import RunFolder
from nbstep.server.following import Streams
from nbstep.server.index import RunIndex
from nbstep.server.problems import Problem
from nbstep_runner.contract import RunState
from nbstep_runner.errors import NbstepError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


UNREAD: Final = "unread"
"""The state of a run whose record has not been read since the server began."""


LISTING_SECONDS: Final = 1.0
"""How long a folder is waited for that is listed for the first time: whoever scrapes comes again."""


class Metrics:
    """The counts of one server.

    Args:
        streams: Its open streams.
    """

    def __init__(self, streams: Streams) -> None:
        self._registry = CollectorRegistry()
        self.seconds = Histogram(
            "nbstep_http_request_seconds",
            "From a request's arrival to the head of its answer.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        open_streams = Gauge("nbstep_event_streams", "Event streams that are open.", registry=self._registry)
        open_streams.set_function(lambda: streams.count)

    def answer(self, folders: Iterable[RunFolder]) -> Response:
        """All of it, with the runs of these folders. Blocks.

        A folder that is listed for the first time, or cannot be, is left out.
        """
        told = CollectorRegistry()
        runs = Gauge("nbstep_runs", "Runs of a folder, by state.", ("folder", "state"), registry=told)
        for folder in folders:
            with suppress(Problem, NbstepError):
                counts = _counts(folder.index)
                for state in RunState:
                    runs.labels(folder.name, state.value).set(counts.get(state, 0))
                runs.labels(folder.name, UNREAD).set(counts.get(None, 0))
        data = generate_latest(self._registry) + generate_latest(told)
        return Response(data, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


def _counts(index: RunIndex) -> dict[RunState | None, int]:
    return index.told(lambda _: index.file.counts(), LISTING_SECONDS)


class Measured:
    """Counts what an application answers, by the route that did: an address that a client makes up is none."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                path = route.path if isinstance(route, Route) else "none"
                method = (
                    scope["method"] if isinstance(route, Route) and scope["method"] in (route.methods or ()) else ""
                )
                labels = (method, path, str(message["status"]))
                self._metrics.seconds.labels(*labels).observe(time.monotonic() - started)
            await send(message)

        await self._app(scope, receive, counted)
