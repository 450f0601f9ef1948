"""What somebody may do in a folder: asked for every answer, and no more told than that."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from starlette.routing import Route

from nbstep.server.app import application
from nbstep.server.callers import Right, let_in
from support import notebooks
from support.service import Service, config

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

FREE: Final = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/static/{name}"}
"""What says nothing of any run; whether it is answered at all is decided before the application."""
READ, SUBMIT = Right.READ, Right.SUBMIT
Held = dict[str, set[Right]]


class Allowing:
    """Lets a caller in with these rights by folder."""

    def __init__(self, app: ASGIApp, held: Held) -> None:
        self._app = app
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        let_in(scope, "submitter", lambda folder, right: right in self._held.get(folder, set()))
        await self._app(scope, receive, send)


@pytest.fixture
def notebook(tmp_path: Path) -> str:
    return str(notebooks.write(tmp_path / "notebooks/a.ipynb", ["1"]))


def service(tmp_path: Path, held: Held, *names: str) -> Service:
    folders = {name: {"uri": str(tmp_path / name), "profiles": ["small"]} for name in names or ("a", "b")}
    document = {"folders": folders, "notebooks": [str(tmp_path / "notebooks")], "profiles": {"small": {"on": "memory"}}}
    return Service(Allowing(application(config(**document)), held))


def requests() -> Iterable[tuple[str, str]]:
    for route in application(config(folders={"a": {"uri": "/a"}})).routes:
        if isinstance(route, Route) and route.path not in FREE:
            for method in sorted(route.methods or ()):
                yield method, route.path.replace(":path", "")


@pytest.mark.fault(62)
@pytest.mark.parametrize(("method", "path"), list(requests()))
def test_a_folder_without_a_right_is_as_none(tmp_path: Path, notebook: str, method: str, path: str) -> None:
    """Every route there is; an answer must not differ by whether the folder, or a run in it, is there."""
    run_id = service(tmp_path, {"a": {SUBMIT}}).post("/v1/runs?folder=a", json={"notebook": notebook}).json()["id"]
    answers = []
    for names, run in itertools.product((("a", "b"), ("b",)), (run_id, "another")):
        address = path.format(id=run, name="output.ipynb", path="lr") + "?folder=a"
        address += f"&uri={notebook}" if "signature" in path else ""
        body = {"json": {"notebook": notebook}} if method == "POST" and path == "/v1/runs" else {}
        answers.append(service(tmp_path, {"b": {READ, SUBMIT}}, *names).request(method, address, **body))
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers}) == 1


def test_what_is_listed_and_started_by_default_is_where_one_may(tmp_path: Path, notebook: str) -> None:
    asking = service(tmp_path, {"b": {READ}, "c": {SUBMIT}}, "a", "b", "c")
    started = asking.post("/v1/runs", json={"notebook": notebook})
    assert (started.status_code, started.json()["folder"]) == (202, "c")
    page = service(tmp_path, {"b": {READ}, "c": {READ}}, "a", "b", "c").get("/").text
    assert [f"<option>{name}<" in page or f"<option selected>{name}<" in page for name in "abc"] == [False, True, True]
    nowhere = service(tmp_path, {}, "a", "b").get("/v1/runs")
    assert nowhere.json()["detail"] == "there is no folder that you may look into"


@pytest.mark.parametrize(
    ("held", "status"), [({READ, SUBMIT}, 202), ({SUBMIT}, 403), ({READ}, 403)], ids=["both", "submit", "read"]
)
def test_a_rerun_reads_and_submits(tmp_path: Path, notebook: str, held: set[Right], status: int) -> None:
    place = service(tmp_path, {"a": {SUBMIT}}).post("/v1/runs", json={"notebook": notebook}).headers["location"]
    answer = service(tmp_path, {"a": held}).post(place.replace("?", "/rerun?"))
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["detail"] == "you may not submit and read in a"


def test_whoever_may_read_changes_nothing(tmp_path: Path, notebook: str) -> None:
    place = service(tmp_path, {"a": {SUBMIT}}).post("/v1/runs", json={"notebook": notebook}).headers["location"]
    reading = service(tmp_path, {"a": {READ}})
    assert reading.get(place).json()["state"] == "pending"
    for path, body in (("/v1/runs?folder=a", {"notebook": notebook}), (place.replace("?", "/cancel?"), {})):
        answer = reading.post(path, content=json.dumps(body))
        assert (answer.status_code, answer.json()["reference"]) == (403, "forbidden")
    page = reading.post(f"{place.removeprefix('/v1').replace('?', '/cancel?')}", headers={"accept": "text/html"})
    assert (page.status_code, "you may not submit in a" in page.text) == (403, True)
    assert reading.get(place).json()["state"] == "pending"
