"""The page of one sweep: how it stands, its runs as a table in the order of a column, plots of what they found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route

from nbstep.backends.protocol import Phase, Status
from nbstep.server.callers import Right, folder_of, is_allowed
from nbstep.server.folders import RunFolder, RunFolders, is_set_name
from nbstep.server.pages.rendering import Rendering, to_sweep
from nbstep.server.problems import Problem, as_problem
from nbstep.server.sweep_reader import SweepReader
from nbstep.server.sweep_table import NAME, PARAMETER, RESULT, SECONDS, STATE, SweepTable
from nbstep.server.sweeps import end_sweep
from nbstep.views.runs_table import plots
from nbstep_runner.errors import NbstepError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_ASKED: Final = 3
"""How many sweeps of one page are asked how they stand: the last started."""


@dataclass(frozen=True, slots=True)
class Started:
    """A sweep that was started there and has runs that have not ended.

    Attributes:
        path: Below the folder of runs.
        words: How it stands, or why that is not known.
        goes_on: It can be cancelled.
    """

    path: str
    words: str
    goes_on: bool

    @property
    def name(self) -> str:
        """Beside those of its runs."""
        return self.path.rpartition("/")[2]


class SweepPage:
    """Answers browsers that look at a sweep."""

    def __init__(self, folders: RunFolders, rendering: Rendering, reader: SweepReader) -> None:
        self._folders = folders
        self._rendering = rendering
        self._reader = reader

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/sweeps/{path:path}", self._one, methods=["GET"]),
            Route("/sweeps/{path:path}/cancel", self._cancel, methods=["POST"]),
        ]

    def _one(self, request: Request) -> Response:
        folder, path, query = folder_of(request, self._folders), request.path_params["path"], request.query_params
        group = folder.within(path)
        try:
            table = self._reader.table(group)
        except Problem:
            if folder.sweep(path) is None:
                raise
            return to_sweep(request, path, folder.name)  # it is one of those that were started there
        by, descending, first = query.get("sort", ""), query.get("order") == "down", query.get("first") == "failures"
        metric = by.removeprefix(RESULT) if by.startswith(RESULT) else getattr(table.sweep.metric, "name", "")
        rows = table.ordered(by, descending=descending, failures_first=first)
        drawn = plots([run.table_row() for run in rows], metric) if metric else ""
        return self._rendering.page(
            request,
            "sweep.html",
            folder=folder.name,
            group=group.name,
            path=path,
            started=list(_standing(folder, path, table)),
            may_cancel=is_allowed(request, folder, Right.SUBMIT),
            table=table,
            rows=rows,
            linked=[run.result is not None and is_set_name(run.name) for run in rows],
            columns=_columns(table),
            by=by,
            descending=descending,
            failures_first=first,
            metric=table.sweep.metric,
            plots=Markup(drawn),  # noqa: S704 - the plots' own markup: all that notebooks say is escaped in it
            states=Counter(run.state for run in rows),
            live=bool(table.left_out) or any(not run.state.final for run in rows),
        )

    async def _cancel(self, request: Request) -> Response:
        folder, path = (
            await run_in_threadpool(folder_of, request, self._folders, Right.SUBMIT),
            request.path_params["path"],
        )
        request.state.run = path
        await run_in_threadpool(end_sweep, folder, path)
        return to_sweep(request, path, folder.name)


def _standing(folder: RunFolder, path: str, table: SweepTable) -> Iterator[Started]:
    """How those sweeps stand that one of the folder's profiles has started."""
    for name in table.unfinished[:MOST_ASKED]:
        own = f"{path}/{name}"
        try:
            sweep = folder.sweep(own)
            if sweep is not None:
                status = sweep.backend.statuses([sweep.handle])[sweep.handle]
                yield _told(own, status)
        except (Problem, NbstepError) as error:
            yield Started(own, as_problem(error).detail, goes_on=False)


def _told(path: str, status: Status) -> Started:
    if status.phase not in (Phase.PENDING, Phase.RUNNING):
        return Started(path, "it has ended: what has not begun is made once it is started again", goes_on=False)
    words = "; ".join([*(["it was asked to end"] if status.cancelled else []), status.words, *status.problems])
    return Started(path, words, goes_on=not status.cancelled)


def _columns(table: SweepTable) -> list[tuple[str, str]]:
    """By what each column is ordered, and its heading."""
    return [
        (NAME, "Set"),
        *((PARAMETER + name, name) for name in table.parameters),
        (STATE, "State"),
        (SECONDS, "Time"),
        *((RESULT + name, name) for name in table.results),
    ]
