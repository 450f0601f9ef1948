"""The pages that list what runs have in common: notebooks, labels, sweeps and endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from nbstep.backends.server.interface import Summary
from nbstep.server.callers import Right, folder_of, is_allowed
from nbstep.server.endpoint_list import endpoints_of
from nbstep.server.folders import RunFolders
from nbstep.server.index_rows import Alike
from nbstep.server.pages.rendering import Rendering
from nbstep.server.problems import usage
from nbstep.server.sweeps import sweeps_below

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_ENDPOINTS: Final = 100
"""How many endpoints are asked how they stand."""
MOST_GROUPS: Final = 500
"""How many groups of runs a page has."""


class GroupPages:
    """Answers browsers that look for runs by what they have in common."""

    def __init__(self, folders: RunFolders, rendering: Rendering) -> None:
        self._folders = folders
        self._rendering = rendering

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/groups", self._groups, methods=["GET"]),
            Route("/sweeps", self._sweeps, methods=["GET"]),
            Route("/endpoints", self._endpoints, methods=["GET"]),
        ]

    def _groups(self, request: Request) -> Response:
        folder, by = folder_of(request, self._folders), request.query_params.get("by", "notebook")
        if by not in ("notebook", "label"):
            hint = "They are grouped by notebook or by label."
            raise usage(f"runs have no groups by {by[:80]!r}", hint=hint)
        index = folder.index

        def found(_: float) -> list[tuple[Alike, Summary | None]]:
            groups = index.file.alike(by_label=by == "label", most=MOST_GROUPS)
            rows = {each.latest.key: each.latest for each in groups}
            latest = {row.key: summary for row, summary in index.look_at(list(rows.values()))}
            return [(each, latest[each.latest.key]) for each in groups]

        groups = index.told(found)
        return self._rendering.of_folder(request, "groups.html", folder, by=by, groups=groups, most=MOST_GROUPS)

    def _sweeps(self, request: Request) -> Response:
        folder, beginning = folder_of(request, self._folders), request.query_params.get("name", "")
        groups, left_out = sweeps_below(folder, beginning)
        return self._rendering.of_folder(
            request,
            "sweeps.html",
            folder,
            name=beginning,
            groups=groups,
            left_out=left_out,
            can_start=bool(folder.sweepers) and is_allowed(request, folder, Right.SUBMIT),
        )

    def _endpoints(self, request: Request) -> Response:
        folder = folder_of(request, self._folders)
        return self._rendering.of_folder(
            request, "endpoints.html", folder, endpoints=endpoints_of(folder, MOST_ENDPOINTS)
        )
