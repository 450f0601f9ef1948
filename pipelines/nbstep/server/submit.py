"""Runs started over HTTP: submitted, cancelled, run again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from anyio import to_thread
from starlette.routing import Route

from nbstep.backends.server.interface import Accepted
from nbstep.server.asked import Again, Asked
from nbstep.server.bodies import asked_for, read_json
from nbstep.server.callers import Right, caller_of, folder_of
from nbstep.server.config import Limits
from nbstep.server.folders import RunFolder, RunFolders
from nbstep.server.runs import as_json
from nbstep.server.starting import Starting, end

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

KEY_HEADER: Final = "idempotency-key"


class Submitting:
    """Answers what starts and ends runs."""

    def __init__(self, starting: Starting, folders: RunFolders, limits: Limits) -> None:
        self._starting = starting
        self._folders = folders
        self._limits = limits

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/v1/runs", self._submit, methods=["POST"]),
            Route("/v1/runs/{id}/cancel", self._cancel, methods=["POST"]),
            Route("/v1/runs/{id}/rerun", self._rerun, methods=["POST"]),
            Route("/v1/notebooks/signature", self._signature, methods=["GET"]),
        ]

    async def _submit(self, request: Request) -> Response:
        caller, key = caller_of(request), request.headers.get(KEY_HEADER)
        folder = await self._allowed(request, Right.SUBMIT)
        async with asked_for(request, Asked, self._limits) as (asked, notebook):
            begin = partial(self._starting.start, folder, caller, key, asked, notebook)
            return await self._started(request, folder, begin)

    async def _rerun(self, request: Request) -> Response:
        caller, key = caller_of(request), request.headers.get(KEY_HEADER)
        folder, run_id = await self._allowed(request, Right.SUBMIT, Right.READ), request.path_params["id"]
        again = await read_json(request, Again, self._limits)
        return await self._started(
            request, folder, partial(self._starting.start_again, folder, caller, key, again, run_id)
        )

    async def _cancel(self, request: Request) -> Response:
        folder, run_id = await self._allowed(request, Right.SUBMIT), request.path_params["id"]
        await to_thread.run_sync(end, folder, run_id)
        return as_json(Accepted(run_id, folder.name), 202)

    async def _signature(self, request: Request) -> Response:
        folder, uri = await self._allowed(request, Right.SUBMIT), request.query_params.get("uri", "")
        schema = partial(self._starting.notebooks.schema, uri, folder.folder.storage)
        return as_json(await self._starting.apart(schema))

    async def _allowed(self, request: Request, *rights: Right) -> RunFolder:
        return await to_thread.run_sync(folder_of, request, self._folders, *rights)

    async def _started(self, request: Request, folder: RunFolder, begin: Callable[[], str]) -> Response:
        run_id = await self._starting.apart(begin)
        request.state.run = run_id
        where = f"{request.scope.get('root_path', '')}/v1/runs/{run_id}?folder={folder.name}"
        return as_json(Accepted(run_id, folder.name), 202, {"Location": where})
