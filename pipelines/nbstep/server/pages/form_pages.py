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
from nbstep.server.pages.rendering import Rendering, to_run, to_sweep
from nbstep.server.problems import Problem, as_problem
from nbstep.server.started_sweeps import AskedSweep, StartedSweeps
from nbstep.server.starting import Starting
from nbstep_runner.errors import NbstepError
from nbstep_runner.notebook import parse_notebook
from nbstep_runner.parameters import read_signature

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class FormPages:
    """Answers browsers that start runs."""

    def __init__(
        self, folders: RunFolders, starting: Starting, sweeps: StartedSweeps, rendering: Rendering, limits: Limits
    ) -> None:
        self._folders = folders
        self._starting = starting
        self._sweeps = sweeps
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
            return Chosen(
                name=uri,
                family=uri,
                action="/submit",
                signature=self._starting.notebooks.signature(uri, folder.folder.storage),
                begin=partial(self._begin, folder, caller, uri, None),
                carried={"notebook": uri},
            )
        content = data or brought(given)
        if len(content) > self._most:
            raise too_large(self._most)
        name = given.get("name", "")

        def begin_of_upload(asked: Again) -> str:
            with TemporaryDirectory(prefix="nbstep-upload-") as scratch:
                place = Path(scratch) / f"{label_of(name, 40, 'notebook')}.ipynb"
                place.write_bytes(content)
                return self._begin(folder, caller, "", place, asked)

        return Chosen(
            name=name,
            family=name,
            action="/submit",
            signature=read_signature(parse_notebook(content).content),
            begin=begin_of_upload,
            carried=carried(name, content),
        )

    def _begin(self, folder: RunFolder, caller: str, uri: str, uploaded: Path | None, asked: Again) -> str:
        """Start a run or a sweep of a notebook; its id or path."""
        if isinstance(asked, AskedSweep):
            return self._sweeps.start(folder, caller, None, msgspec.structs.replace(asked, notebook=uri), uploaded)
        named = Asked(notebook=uri, **msgspec.structs.asdict(asked))
        return self._starting.start(folder, caller, None, named, uploaded)

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
        """The form with all that a run can be given; once it is whole and sent, the page of what it has started."""
        form = Form.of(self._starting, folder, caller_of(request), chosen, given)
        problem, status = None, 200
        if request.method == "POST" and given.get("action") == "start":  # an address alone starts nothing
            status = 422
            try:
                form, asked = form.checked()
                if asked is not None:
                    request.state.run = name = chosen.begin(asked)
                    return to_sweep(request, name, folder.name) if form.sweep else to_run(request, name, folder.name)
            except (Problem, NbstepError) as error:
                problem = as_problem(error).told
                status = problem.status
        return self._rendering.page(
            request, "form.html", status, folder=folder.name, chosen=chosen, form=form, ways=WAYS, problem=problem
        )
