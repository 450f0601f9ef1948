"""The runs of the service's folders over HTTP: lists, one run, its objects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from nbstep.backends.server.interface import Detail, ObjectOfRun, summary_of
from nbstep.runs.run import Run
from nbstep.server.callers import folder_of, place_of
from nbstep.server.config import Limits
from nbstep.server.folders import RunFolder, RunFolders
from nbstep.server.listing import Query, page
from nbstep.server.objects import Sender, objects_of
from nbstep.server.problems import UNSHARED, usage
from nbstep.views.status import RunStatus
from nbstep_runner.contract import RunResult, RunSpec
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import redact

if TYPE_CHECKING:
    from starlette.requests import Request

JSON = "application/json"
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class Runs:
    """Answers what is asked about runs. What blocks runs on threads, a bounded number at once."""

    def __init__(self, folders: RunFolders, limits: Limits) -> None:
        self._folders = folders
        self._limits = limits
        self._sender = Sender(limits.object_bytes)

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/v1/runs", self._list, methods=["GET"]),
            Route("/v1/runs/{id}", self._one, methods=["GET"]),
            Route("/v1/runs/{id}/objects/{name:path}", self._object, methods=["GET"]),
        ]

    def _list(self, request: Request) -> Response:
        query = query_of(request)
        found = page(folder_of(request, self._folders), query, self._limits.records)
        return as_json(found)

    def _one(self, request: Request) -> Response:
        folder = place_of(request, self._folders)
        run = folder.run(request.path_params["id"])
        return as_json(detail(folder, run, *standing(folder, run)))

    async def _object(self, request: Request) -> Response:
        run = await run_in_threadpool(self._run, request)
        return await self._sender.send(run, request.path_params["name"])

    def _run(self, request: Request) -> Run:
        return place_of(request, self._folders).run(request.path_params["id"])


def detail(folder: RunFolder, run: Run, status: RunStatus, record: RunResult) -> Detail:
    """All that is told of one run, by how it stands and its record."""
    there = ((each.name, run.store.stat(each.uri)) for each in objects_of(run).values())
    summary = msgspec.structs.asdict(summary_of(folder.name, run.id, record))
    return Detail(
        **summary | {"state": status.state},
        words=status.words,
        problems=status.problems,
        handle=run.handle,
        cells=record.cells,
        warnings=record.warnings,
        objects=tuple(ObjectOfRun(name, stat.size) for name, stat in there if stat is not None),
    )


def standing(folder: RunFolder, run: Run) -> tuple[RunStatus, RunResult]:
    """How a run stands, and its record; of one that has left none, what was asked for."""
    status = run.status()
    return status, status.record or _blank(run, folder.places(run.id).input)


def _blank(run: Run, notebook: str) -> RunResult:
    try:
        return RunResult.blank(run.spec(), redact)
    except (InputNotFoundError, BadInputError):
        return RunResult.blank(RunSpec(run_id=run.id, input_uri=notebook, output_uri=run.output_uri), redact)


def query_of(request: Request) -> Query:
    """What the address asks a list for.

    Raises:
        Problem: It asks for something that no list has.
    """
    given: dict[str, Any] = {
        name: value for name, value in request.query_params.items() if name not in ("folder", "token") and value
    }
    if _DAY.fullmatch(given.get("since", "")):
        given["since"] += "T00:00:00Z"
    if "label" in given:
        given["label"] = request.query_params.getlist("label")
    try:
        query = msgspec.convert(given, Query, strict=False)
    except msgspec.ValidationError as error:
        raise usage(f"the query does not fit: {error}") from None
    for name, value in given.items():
        if getattr(query, name) is None:  # the text "null", which msgspec takes for nothing
            raise usage(f"the query does not fit: {name} is {value!r}")
    return query


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value of the interface's types as an answer."""
    return Response(msgspec.json.encode(value), status, {**UNSHARED, **(headers or {})}, JSON)
