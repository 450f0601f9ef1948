"""Forms that start runs: a notebook is chosen, then what it takes is asked for. Nothing that was typed is lost.

The server keeps nothing between the two steps: a notebook that was sent comes back with the second form.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec
from anyio import to_thread
from starlette.routing import Route

from nbstep.authoring.notebook import label_of
from nbstep.server.asked import Again, Asked
from nbstep.server.bodies import CARRIED_BYTES, brought, carried, read_fields, too_large
from nbstep.server.callers import Right, caller_of, folder_of
from nbstep.server.config import Limits
from nbstep.server.folders import RunFolder, RunFolders
from nbstep.server.pages.form import Chosen, Form
from nbstep.server.pages.form_fields import WAYS
from nbstep.server.pages.rendering import Rendering, to_run
from nbstep.server.problems import Problem, as_problem
from nbstep.server.starting import Starting
from nbstep_runner.errors import NbstepError
from nbstep_runner.notebook import parse_notebook
from nbstep_runner.parameters import read_signature

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class FormPages:
    """Answers browsers that start runs."""

    def __init__(self, folders: RunFolders, starting: Starting, rendering: Rendering, limits: Limits) -> None:
        self._folders = folders
        self._starting = starting
        self._rendering = rendering
        self._limits = limits
        self._most = min(CARRIED_BYTES, limits.upload_bytes)

    def routes(self) -> list[Route]:
        """Where it answers."""
        return [
            Route("/submit", self._submit, methods=["GET", "POST"]),
            Route("/runs/{id}/rerun", self._rerun, methods=["GET", "POST"]),
        ]

    async def _submit(self, request: Request) -> Response:
        folder = await to_thread.run_sync(folder_of, request, self._folders, Right.SUBMIT)
        if request.method != "POST":
            given = dict(request.query_params)
            return await self._starting.apart(partial(self._step, request, folder, given, b""))
        given, data = await read_fields(request, self._limits, self._most)
        return await self._starting.apart(partial(self._step, request, folder, given, data))

    async def _rerun(self, request: Request) -> Response:
        folder = await to_thread.run_sync(folder_of, request, self._folders, Right.SUBMIT, Right.READ)
        given: dict[str, str] = {}
        if request.method == "POST":
            given, _ = await read_fields(request, self._limits, 0)
        return await self._starting.apart(partial(self._again, request, folder, given))

    def _step(self, request: Request, folder: RunFolder, given: Mapping[str, str], data: bytes) -> Response:
        """The second step, once a notebook is chosen that can be read; the first until then."""
        if not data and not given.get("carried") and not given.get("notebook"):
            missing = "Choose a notebook first." if request.method == "POST" else ""
            return self._first(request, folder, given, missing)
        try:
            chosen = self._chosen(request, folder, given, data)
        except (Problem, NbstepError) as error:
            told = as_problem(error).told
            return self._first(request, folder, given, f"{told.detail}. {told.hint}".strip(), told.status)
        return self._second(request, folder, chosen, given)

    def _chosen(self, request: Request, folder: RunFolder, given: Mapping[str, str], data: bytes) -> Chosen:
        """The notebook that a form names, brings or carries.

        Raises:
            Problem: It may not be read, or is too large.
            NbstepError: It cannot be read, or is none.
        """
        caller, uri = caller_of(request), given.get("notebook", "")
        if not data and not given.get("carried"):
            signature = self._starting.notebooks.signature(uri, folder.folder.storage)

            def begin(again: Again) -> str:
                asked = Asked(notebook=uri, **msgspec.structs.asdict(again))
                return self._starting.start(folder, caller, None, asked, None)

            return Chosen(
                name=uri, family=uri, action="/submit", signature=signature, begin=begin, carried={"notebook": uri}
            )
        content = data or brought(given)
        if len(content) > self._most:
            raise too_large(self._most)
        name = given.get("name", "")

        def begin_of_upload(again: Again) -> str:
            with TemporaryDirectory(prefix="nbstep-upload-") as scratch:
                place = Path(scratch) / f"{label_of(name, 40, 'notebook')}.ipynb"
                place.write_bytes(content)
                return self._starting.start(folder, caller, None, Asked(**msgspec.structs.asdict(again)), place)

        return Chosen(
            name=name,
            family=name,
            action="/submit",
            signature=read_signature(parse_notebook(content).content),
            begin=begin_of_upload,
            carried=carried(name, content),
        )

    def _again(self, request: Request, folder: RunFolder, given: Mapping[str, str]) -> Response:
        run_id, caller = request.path_params["id"], caller_of(request)
        signature, earlier = self._starting.made_of(folder, run_id)

        def begin(again: Again) -> str:
            return self._starting.start_again(folder, caller, None, again, run_id)

        action = f"/runs/{run_id}/rerun"
        family = folder.run(run_id).family
        chosen = Chosen(name=run_id, family=family, action=action, signature=signature, begin=begin, earlier=earlier)
        return self._second(request, folder, chosen, given)

    def _first(
        self, request: Request, folder: RunFolder, given: Mapping[str, str], problem: str = "", status: int = 422
    ) -> Response:
        """The page on which a notebook is chosen."""
        return self._rendering.of_folder(
            request,
            "submit.html",
            folder,
            Right.SUBMIT,
            status=status if problem else 200,
            places=self._starting.notebooks.places,
            notebooks=self._starting.notebooks.some(folder.folder.storage),
            notebook=given.get("notebook", ""),
            problem=problem,
            most=self._most,
        )

    def _second(self, request: Request, folder: RunFolder, chosen: Chosen, given: Mapping[str, str]) -> Response:
        """The form with all that a run can be given; once it is whole and sent, the run's page."""
        form = Form.of(self._starting, folder, caller_of(request), chosen, given)
        problem, status = None, 200
        if request.method == "POST" and given.get("action") == "start":  # an address alone starts nothing
            form, asked = form.checked()
            status = 422
            if asked is not None:
                try:
                    run_id = chosen.begin(asked)
                except (Problem, NbstepError) as error:
                    problem = as_problem(error).told
                    status = problem.status
                else:
                    request.state.run = run_id
                    return to_run(request, run_id, folder.name)
        return self._rendering.page(
            request, "form.html", status, folder=folder.name, chosen=chosen, form=form, ways=WAYS, problem=problem
        )
