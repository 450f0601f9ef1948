"""The page of runs side by side: any that the caller may read, of one folder or of several."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlencode

from starlette.routing import Route

from nbstep.server.callers import place_of
from nbstep.server.folders import RunFolder, RunFolders
from nbstep.server.pages.rendering import Rendering
from nbstep.server.runs import standing
from nbstep.views.comparison import compared
from nbstep_runner.contract import RunResult

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_COMPARED: Final = 12
"""How many runs stand side by side."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A run of the page.

    Attributes:
        place: Its folder, or the group below one.
        id: Its name there.
        is_elsewhere: Its folder is not the page's own.
    """

    place: RunFolder
    id: str
    is_elsewhere: bool

    @property
    def named(self) -> str:
        """How the page's address names it."""
        return f"{self.place.name}/{self.id}" if self.is_elsewhere else self.id

    def record(self) -> RunResult:
        """Its record, by how it stands now. May block.

        Raises:
            Problem: There is no such run.
        """
        status, record = standing(self.place, self.place.run(self.id))
        return replace(record, run_id=self.id, state=status.state)


class ComparePage:
    """Answers browsers that compare runs."""

    def __init__(self, folders: RunFolders, rendering: Rendering) -> None:
        self._folders = folders
        self._rendering = rendering

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [Route("/compare", self._compare, methods=["GET"])]

    def _compare(self, request: Request) -> Response:
        place = place_of(request, self._folders)
        names = [name for name in map(str.strip, request.query_params.getlist("run")) if name]
        known = {run.named: run for run in (self._named(request, place, name) for name in names)}
        runs = list(known.values())[:MOST_COMPARED]
        with ThreadPoolExecutor(MOST_COMPARED, thread_name_prefix="nbstep-compare") as pool:
            records = list(pool.map(Compared.record, runs))
        return self._rendering.page(
            request,
            "compare.html",
            folder=place.top,
            place=place.name,
            runs=runs,
            without=[_address(place, [other for other in runs if other != run]) for run in runs],
            states=[each.state for each in records],
            lines=compared(records)[2:],  # without the ids and the states, which head the columns
            most=MOST_COMPARED,
        )

    def _named(self, request: Request, place: RunFolder, text: str) -> Compared:
        """The run that is named by its id, by ``FOLDER/ID``, or by the address of its page.

        Raises:
            Problem: There is no such folder, or none that the caller may read.
        """
        folder, _, run_id = text.rpartition("/")
        path, _, query = text.partition("#")[0].partition("?")
        if "://" in path and "/runs/" in path:
            run_id = unquote(path.rpartition("/runs/")[2])
            folder = parse_qs(query).get("folder", [""])[0]
        if not folder or folder == place.name:
            return Compared(place, run_id, is_elsewhere=False)
        return Compared(place_of(request, self._folders, folder), run_id, is_elsewhere=True)


def _address(place: RunFolder, runs: Sequence[Compared]) -> str:
    """Of the page with these runs alone."""
    return "?" + urlencode([("folder", place.name), *(("run", run.named) for run in runs)])
