"""The sweeps of the service's folders over HTTP: which there are, one as a table, one started and ended."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
from anyio import to_thread
from starlette.routing import Route

from nbstep.backends.server.interface import Accepted, SetOfSweep, SweepDetail, SweepList, SweepListed
from nbstep.errors import RunNotFoundError
from nbstep.server.bodies import asked_for
from nbstep.server.callers import Right, caller_of, folder_of
from nbstep.server.config import Limits
from nbstep.server.folders import RunFolder, RunFolders, is_group_path
from nbstep.server.groups import Group
from nbstep.server.problems import not_found
from nbstep.server.runs import as_json
from nbstep.server.started_sweeps import AskedSweep, StartedSweeps, set_of
from nbstep.server.starting import Starting
from nbstep.server.submit import KEY_HEADER
from nbstep.server.sweep_reader import SweepReader
from nbstep.sweeps.outcome import SweepRun

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_SHOWN: Final = 500
"""How many sweeps a list has."""


class Sweeps:
    """Answers what is asked about sweeps, and what starts and ends them."""

    def __init__(
        self, folders: RunFolders, starting: Starting, started: StartedSweeps, reader: SweepReader, limits: Limits
    ) -> None:
        self._folders = folders
        self._starting = starting
        self._started = started
        self._reader = reader
        self._limits = limits

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/v1/sweeps", self._list, methods=["GET"]),
            Route("/v1/sweeps", self._start, methods=["POST"]),
            Route("/v1/sweeps/{path:path}", self._one, methods=["GET"]),
            Route("/v1/sweeps/{path:path}/cancel", self._cancel, methods=["POST"]),
        ]

    def _list(self, request: Request) -> Response:
        listed, left_out = sweeps_below(folder_of(request, self._folders), request.query_params.get("name", ""))
        told = tuple(SweepListed(path=each.path, runs=each.runs, modified=each.modified) for each in listed)
        return as_json(SweepList(sweeps=told, left_out=left_out))

    def _one(self, request: Request) -> Response:
        folder, path = folder_of(request, self._folders), request.path_params["path"]
        request.state.run = path
        sweep = folder.sweep(path)
        if sweep is not None:
            return as_json(self._started.told(folder, path, sweep))
        return as_json(self._told_of_group(folder.within(path)))

    def _told_of_group(self, group: RunFolder) -> SweepDetail:
        """A group of runs, whoever made them."""
        table = self._reader.table(group)
        rows = table.ordered("", descending=False, failures_first=False)
        return SweepDetail(
            folder=group.name,
            metric=getattr(table.sweep.metric, "name", None),
            shared=table.shared,
            sets=tuple(_row(group.name, each, cut=each.name in table.cut) for each in rows),
            left_out=table.left_out,
        )

    async def _start(self, request: Request) -> Response:
        caller, key = caller_of(request), request.headers.get(KEY_HEADER)
        folder = await to_thread.run_sync(folder_of, request, self._folders, Right.SUBMIT)
        async with asked_for(request, AskedSweep, self._limits) as (asked, notebook):
            begin = partial(self._started.start, folder, caller, key, asked, notebook)
            path = await self._starting.apart(begin)
        request.state.run = path
        where = f"{request.scope.get('root_path', '')}/v1/sweeps/{path}?folder={folder.name}"
        return as_json(Accepted(path, folder.name), 202, {"Location": where})

    async def _cancel(self, request: Request) -> Response:
        folder = await to_thread.run_sync(folder_of, request, self._folders, Right.SUBMIT)
        path = request.path_params["path"]
        request.state.run = path
        await to_thread.run_sync(end_sweep, folder, path)
        return as_json(Accepted(path, folder.name), 202)


def _row(group: str, run: SweepRun, *, cut: bool) -> SetOfSweep:
    """A row, which says so where the run's values are left out of it."""
    row = set_of(group, run)
    if row.run is None or not cut:
        return row
    return msgspec.structs.replace(row, parameters={}, run=msgspec.structs.replace(row.run, whole=False))


def end_sweep(folder: RunFolder, path: str) -> None:
    """Ask a sweep to save and end; one that has ended stays as it is.

    Raises:
        Problem: None was started there with a profile of the folder.
    """
    sweep = folder.sweep(path)
    if sweep is None:
        raise not_found(f"sweep {path[:80]!r} that was started in {folder.name}")
    with suppress(RunNotFoundError):  # its place has forgotten it: it has ended
        sweep.cancel()


def sweeps_below(folder: RunFolder, beginning: str) -> tuple[list[Group], int]:
    """The sweeps of a folder whose paths begin so, as many as are shown, and how many more there are. May block."""
    known = folder.index.told(lambda _: folder.index.file.groups(endpoints=False))
    groups = [each for each in known if each.path.startswith(beginning) and is_group_path(each.path)]
    return groups[:MOST_SHOWN], max(0, len(groups) - MOST_SHOWN)
