"""The pages of sweeps, as a browser without scripts reads them."""

from __future__ import annotations

import json
import math
import re
import secrets
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import pytest

from nbstep.backends.memory import MemoryBackend
from nbstep.backends.protocol import Phase, Status
from nbstep.backends.registry import backend_named
from nbstep.profiles.storage import store_of
from nbstep.server.app import application
from nbstep.server.callers import Right, let_in
from nbstep.server.standings import Standing, Standings
from nbstep.sweeps.sets import set_name
from nbstep_runner.contract import ErrorInfo, RunResult, RunSpec, RunState, StorageOptions, SweepSpec, encode
from nbstep_runner.stores import redact
from support import notebooks
from support.pages import BROWSER, HOSTILE, links, without_ours
from support.service import Service, config

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

SETS = [{"rate": rate, "trees": trees} for rate in (0.01, 0.3) for trees in (50, 100)]


class World:
    """A folder of runs with sweeps in it."""

    def __init__(self) -> None:
        self.runs = f"memory://{secrets.token_hex(4)}/runs"
        self.store = store_of(self.runs, StorageOptions())
        self.service = Service.of(folders={"team": {"uri": self.runs}, "other": {"uri": f"{self.runs}-2"}})

    def put(self, place: str, state: RunState = RunState.SUCCEEDED, **members: Any) -> RunSpec:
        spec = RunSpec(run_id="r", input_uri="in.ipynb", output_uri=f"{self.runs}/{place}/output.ipynb")
        record = replace(RunResult.blank(spec, redact), state=state, **members)
        self.store.write(f"{self.runs}/{place}/output.result.json", encode(record))
        return spec

    def get(self, path: str, status: int = 200) -> str:
        answer = self.service.get(path, headers=BROWSER)
        assert answer.status_code == status, answer.text
        assert "<img" not in answer.text
        assert "<script" not in without_ours(answer.text)
        return answer.text


@pytest.fixture
def world() -> World:
    """A sweep of four sets: one failed, and one has not begun."""
    world = World()
    specs = []
    for number, values in enumerate(SETS):
        name = set_name(values)
        specs.append(RunSpec(run_id=name, input_uri="", output_uri=f"{world.runs}/lr/depth/{name}/output.ipynb"))
        given: dict[str, Any] = {"parameters": {**values, "data": HOSTILE}, "seconds": 10.0 - number}
        if number == 1:
            error = ErrorInfo(reference="out-of-memory", message=f"killed {HOSTILE}")
            world.put(f"lr/depth/{name}", RunState.FAILED, error=error, **given)
        elif number != 3:
            world.put(f"lr/depth/{name}", results={"rmse": 0.5 - number / 10, HOSTILE: HOSTILE}, **given)
    plan = encode(SweepSpec(specs=tuple(specs), jobs=1, sets=tuple(SETS)))
    world.store.write(f"{world.runs}/lr/depth/depth-0123/sweep.json", plan)
    return world


def rows(text: str) -> list[list[str]]:
    """The texts of a table's rows."""
    body = text.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall("<tr.*?</tr>", body, re.DOTALL)
    ]
    return [[unescape(re.sub("<[^>]*>", "", cell)).strip() for cell in row] for row in cells]


def test_sweeps_are_listed_and_lead_to_their_runs(world: World) -> None:
    world.put("alone")
    world.put("with space/a=1")
    world.put("alone/output.files/a=1")
    world.put("digits/revision-1")
    world.store.write(f"{world.runs}/digits/endpoint.json", b"{}")
    listed = world.get("/sweeps?folder=team")
    assert [row[:2] for row in rows(listed)] == [["lr/depth", "3"]]
    assert rows(world.get("/sweeps?folder=team&name=x")) == rows(world.get("/sweeps?folder=other")) == []
    (sweep,) = [link for link in links(listed) if link.startswith("/sweeps/")]
    (run,) = [link for link in links(world.get(sweep)) if "trees%3D100" in link and "/runs/" in link]
    shown = world.get(run)
    assert "killed" in shown
    assert "/rerun" not in shown
    for link in (each for each in links(shown) if "#" not in each):
        assert world.service.get(link, headers=BROWSER).status_code == 200, link
    compared = world.get("/compare?folder=team/lr/depth&run=rate%3D0.01,trees%3D50&run=rate%3D0.01,trees%3D100")
    assert "* parameters.trees" in compared
    world.get(next(link for link in links(compared) if "/runs/" in link))


def test_a_program_is_told_what_the_pages_show(world: World) -> None:
    listed = world.service.get("/v1/sweeps?folder=team").json()
    assert ([(each["path"], each["runs"]) for each in listed["sweeps"]], listed["left_out"]) == ([("lr/depth", 3)], 0)
    assert world.service.get("/v1/sweeps?folder=team&name=x").json()["sweeps"] == []
    told = world.service.get("/v1/sweeps/lr/depth?folder=team").json()
    names = [set_name(values) for values in SETS]
    assert (told["folder"], told["metric"], told["left_out"]) == ("team/lr/depth", "rmse", 0)
    assert [each["name"] for each in told["sets"]] == [names[2], names[0], names[1], names[3]]
    assert [each["state"] for each in told["sets"]] == ["succeeded", "succeeded", "failed", "pending"]
    assert (told["sets"][3]["parameters"], told["sets"][3]["run"]) == (SETS[3], None)
    failed = told["sets"][2]["run"]
    assert failed["error"]["reference"] == "out-of-memory"
    run = world.service.get(f"/v1/runs/{quote(failed['id'])}?folder={failed['folder']}")
    assert run.json()["state"] == "failed"
    assert world.service.get("/v1/sweeps/nobodys?folder=team").status_code == 404


def test_a_number_beyond_all_floats_has_a_place_in_a_table(world: World) -> None:
    huge = 10**400
    for number, (loss, rate) in enumerate(((huge, 1), (0.5, huge), (-huge, 2))):
        world.put(f"big/n={number}", results={"loss": loss}, parameters={"rate": rate, "n": number})
    for sort in ("", "&sort=result.loss", "&sort=parameter.rate", "&sort=parameter.rate&order=down"):
        assert len(rows(world.get(f"/sweeps/big?folder=team{sort}"))) == 3
    first = rows(world.get("/sweeps/big?folder=team&sort=result.loss"))[0]
    assert first[1] == "n=2"
    assert len(world.service.get("/v1/sweeps/big?folder=team").json()["sets"]) == 3


def test_a_large_record_is_a_row_without_its_values(world: World) -> None:
    world.put("large/n=1", results={"loss": 1.0, "text": "x" * 2**17}, parameters={"n": 1})
    world.put("large/n=2", results={"loss": 2.0}, parameters={"n": 2})
    told = world.service.get("/v1/sweeps/large?folder=team")
    assert len(told.content) < 2**16
    assert {each["name"]: each["run"]["results"] for each in told.json()["sets"]} == {"n=1": {}, "n=2": {"loss": 2.0}}


def test_the_best_stands_first_and_every_column_sorts(world: World) -> None:
    first = world.get("/sweeps/lr/depth?folder=team")
    assert "2 of 4 runs succeeded; the best first, by rmse: the lowest" in first
    names = [set_name(values) for values in SETS]
    assert [row[1] for row in rows(first)] == [names[2], names[0], names[1], names[3]]
    assert [row[4] for row in rows(first)] == ["succeeded", "succeeded", "failed", "pending"]
    assert first.count("<circle") == 2, "of the runs that found something, the rate alone varies"
    failures = world.get("/sweeps/lr/depth?folder=team&first=failures")
    assert rows(failures)[0][1] == names[1]
    for link in {link for link in links(first) if "sort=" in link}:
        text = world.get(f"/sweeps/lr/depth{link}")
        (key,) = re.findall(r'aria-sort="ascending"><a href="([^"]*)"', text)
        assert "order=down" in key
        down = world.get(f"/sweeps/lr/depth{unescape(key)}")
        assert len(rows(down)) == 4
        assert rows(down) != rows(text) or "script" in link, "what is the same in all runs orders none"
        assert rows(down)[-1][4] == "pending" or "sort=name" in link or "sort=state" in link or "sort=parameter" in link


def test_a_sweep_is_cancelled_by_a_form_of_its_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By those who may: each of the sweeps that were started there, as long as it goes on."""
    monkeypatch.setattr(MemoryBackend, "sweep_workers", lambda _, jobs: (jobs or 8, 1), raising=False)
    folders = {"team": {"uri": world.runs, "profiles": ["small"]}}
    notebook = f"{world.runs}-notebooks/n.ipynb"
    content = notebooks.notebook([notebooks.Code("n = 0", tags=("parameters",))])
    store_of(notebook, StorageOptions()).write(notebook, json.dumps(content).encode())
    document: dict[str, Any] = {
        "folders": folders,
        "profiles": {"small": {"on": "memory"}},
        "notebooks": [f"{world.runs}-notebooks"],
    }
    world.service = Service.of(**document)
    asked = {"notebook": notebook, "name": "deep/n", "grid": {"n": [1, 2]}}
    started = world.service.post("/v1/sweeps", json=asked).json()["id"]
    memory, handle = cast("MemoryBackend", backend_named("memory")), f"memory://{started.rpartition('/')[2]}"
    memory._say(handle, Status(phase=Phase.RUNNING, words="one of one processes runs"))
    own = world.service.get(f"/sweeps/{started}?folder=team", headers=BROWSER)
    assert (own.status_code, own.headers["location"]) == (303, "/sweeps/deep/n?folder=team")
    page = world.get("/sweeps/deep/n?folder=team")
    assert ("one of one processes runs" in page, "data-seconds" in page) == (True, True)
    (action,) = [link for link in links(page) if "/cancel" in link]
    with monkeypatch.context() as slow:
        slow.setattr(Standings, "of", lambda *_: Standing())
        page = world.get("/sweeps/deep/n?folder=team")
        assert ("have not answered yet" in page, "data-seconds" in page) == (True, True)
    reader = Service(Reading(application(config(**document))))
    seen = reader.get("/sweeps/deep/n?folder=team", headers=BROWSER).text
    assert ("one of one processes runs" in seen, "<button type" in seen) == (True, False)
    assert reader.post(action).status_code == 403
    other = action.replace("deep", "shallow")
    assert world.service.post(other, headers={**BROWSER, "origin": world.service.base_url}).status_code == 404
    answer = world.service.post(action, headers={**BROWSER, "origin": world.service.base_url})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sweeps/deep/n?folder=team")
    assert memory._run(handle).status.phase is Phase.ENDED
    page = world.get("/sweeps/deep/n?folder=team")
    assert ("it has ended" in page, "data-seconds" in page) == (True, False), "what has not begun will not begin"
    for name in ("n=1", "n=2"):
        world.put(f"deep/n/{name}")
    assert "it has ended" not in world.get("/sweeps/deep/n?folder=team")


class Reading:
    """Lets somebody in who may read and nothing else."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        let_in(scope, "reader", lambda _, right: right is Right.READ)
        await self._app(scope, receive, send)


@pytest.mark.parametrize(
    "path", ["nobodys", "../runs-2", "%2e%2e/x", "lr//depth", HOSTILE, "lr/depth?folder=other", "lr"]
)
def test_what_is_no_sweep(world: World, path: str) -> None:
    world.get(f"/sweeps/{path}", 404)


@pytest.mark.fault(62)
@pytest.mark.parametrize(
    "folder", ["team/..", "team/../x", "team//lr", "other/lr/depth", "/lr/depth", "team/lr%2F..", "x/lr"]
)
def test_no_path_leads_out_of_a_folder(world: World, folder: str) -> None:
    world.get(f"/runs/{set_name(SETS[0])}?folder={folder}", 404)
    assert world.service.get(f"/v1/runs/{set_name(SETS[0])}?folder={folder}").status_code == 404
    assert world.service.get(f"/v1/runs?folder={folder}").status_code == 404
    assert world.service.post("/v1/runs?folder=team/lr/depth", json={}).status_code == 404


def test_only_so_many_records_are_read_for_one_page(world: World) -> None:
    world.service = Service.of(folders={"team": {"uri": world.runs}}, limits={"records": 2})
    text = world.get("/sweeps/lr/depth")
    assert len(rows(text)) == 2
    assert "And 2 more" in text


def test_a_plan_that_is_damaged_keeps_no_record_from_being_shown(world: World) -> None:
    for plan in (b"{", b'{"specs": [{"run_id": "", "input_uri": "", "output_uri": "x"}], "jobs": 1, "sets": [{}]}'):
        world.store.write(f"{world.runs}/lr/depth/depth-0123/sweep.json", plan)
        assert len(rows(world.get("/sweeps/lr/depth"))) == 3


@pytest.mark.parametrize("order", ["", "&order=down"])
def test_what_is_missing_or_no_number_stands_last_in_either_order(world: World, order: str) -> None:
    for number, found in enumerate(({"x": 1}, {"x": math.nan}, {}, {"x": 3}, {"x": "2"})):
        world.put(f"odd/n={number}", results=found)
    names = [row[1] for row in rows(world.get(f"/sweeps/odd?sort=result.x{order}"))]
    assert names == (["n=4", "n=3", "n=0", "n=1", "n=2"] if order else ["n=0", "n=3", "n=4", "n=1", "n=2"])
