"""The page of endpoints: what their records say, and a place asked only where it is the folder's own."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from nbstep.backends.protocol import Phase, Plan, Status
from nbstep.endpoints.endpoint import Endpoint, Placed
from nbstep.endpoints.local import LocalHost
from nbstep.endpoints.plan import Deployment, plan_endpoint
from nbstep.profiles import Profile
from nbstep.profiles.exposure import Exposure
from nbstep.profiles.storage import store_of
from nbstep.submission.request import Request
from nbstep_runner.contract import RunResult, RunSpec, RunState, Serving, ServingOptions, StorageOptions, encode
from nbstep_runner.stores import redact
from support import notebooks
from support.pages import without_ours
from support.service import Service

BROWSER = {"accept": "text/html"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class World:
    """A folder of runs with endpoints in it."""

    def __init__(self, runs: str, **document: Any) -> None:
        self.runs = runs
        folder = {"uri": runs, "profiles": ["here"]}
        self.service = Service.of(folders={"team": folder}, profiles={"here": {"on": "local"}}, **document)

    def put(self, name: str, data: bytes) -> None:
        store_of(self.runs, StorageOptions()).write(f"{self.runs}/{name}", data)

    def place(self, placed: Placed, state: RunState | None = RunState.RUNNING, url: str = "") -> None:
        self.put(f"{placed.name}/endpoint.json", encode(placed))
        if state is not None:
            spec = RunSpec(run_id=placed.name, input_uri="", output_uri="", labels={"nbstep/revision": placed.revision})
            serving = Serving(url=url, since="2026-01-01T00:00:00+00:00") if url else None
            record = replace(RunResult.blank(spec, redact), state=state, serving=serving)
            self.put(f"{placed.name}/start-1/output.result.json", encode(record))

    def rows(self) -> list[list[str]]:
        answer = self.service.get("/endpoints", headers=BROWSER)
        assert answer.status_code == 200, answer.text
        assert "<script" not in without_ours(answer.text)
        assert "<img" not in answer.text
        body = answer.text.partition("<tbody")[2].partition("</tbody>")[0]
        return [
            [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
            for row in re.findall("<tr[^>]*>.*?</tr>", body, re.DOTALL)
        ]


def deployment(folder: Path, runs: str) -> Deployment:
    """An endpoint as `nbstep serve` would start it."""
    notebook = notebooks.write(folder / "predict.ipynb", ["def predict(x: int) -> int:\n    return x"])
    request = Request(notebook=str(notebook), profile=Profile(on="local", runs=runs))
    return plan_endpoint(request, "digits", ServingOptions(), Exposure())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The handles that places are asked about; each is said to run."""
    handles: list[str] = []

    def status(_: LocalHost, handle: str, revision: str) -> Status:
        handles.append(handle)
        return Status(phase=Phase.RUNNING, words=f"revision {revision} runs")

    monkeypatch.setattr(LocalHost, "status", status)
    return handles


def test_the_place_of_an_endpoint_of_the_folder_is_asked(tmp_path: Path, asked: list[str]) -> None:
    world = World(str(tmp_path / "runs"))
    planned = deployment(tmp_path, world.runs)
    plan: Plan = LocalHost().plan(planned)
    placed = Placed(name="digits", on="local", handle=plan.handle, revision=planned.revision)
    world.place(placed, url="http://127.0.0.1:8123")
    assert world.rows() == [["digits", "running", "http://127.0.0.1:8123", "serving at http://127.0.0.1:8123"]]
    assert asked == [plan.handle]


@pytest.mark.fault(62)
@pytest.mark.parametrize("forged", ["handle", "on", "revision", "name", "document"])
def test_what_lies_in_a_folder_sends_the_server_nowhere(tmp_path: Path, asked: list[str], forged: str) -> None:
    world = World(str(tmp_path / "runs"))
    planned = deployment(tmp_path, world.runs)
    handle = LocalHost().plan(planned).handle
    placed = Placed(name="digits", on="local", handle=handle, revision=planned.revision)
    world.place(placed, url="http://10.0.0.1")
    others = {"handle": "local:///etc/other", "on": "kubernetes", "revision": "../../x", "name": HOSTILE}
    document = encode(structs.replace(placed, **{forged: others[forged]})) if forged in others else b"{"
    world.put("digits/endpoint.json", document)
    ((name, state, url, words),) = world.rows()
    assert (name, state, url) == ("digits", "running", "")
    assert words.startswith("by its record")
    assert asked == []


def test_an_endpoint_is_told_by_its_record_where_its_place_is_not_known() -> None:
    world = World(f"memory://{secrets.token_hex(4)}/runs")
    assert world.rows() == []
    for name, state, url in (("a", None, ""), ("b", RunState.RUNNING, ""), ("c", RunState.FAILED, "http://c")):
        world.place(Placed(name=name, on="docker", handle="docker://x", revision="0" * 10), state, url)
    assert [row[:3] for row in world.rows()] == [["a", "pending", ""], ["b", "pending", ""], ["c", "failed", ""]]


@pytest.mark.fault(62)
def test_one_endpoint_is_not_told_of_under_the_name_of_another(tmp_path: Path, asked: list[str]) -> None:
    world = World(str(tmp_path / "runs"))
    planned = deployment(tmp_path, world.runs)
    placed = Placed(name="digits", on="local", handle=LocalHost().plan(planned).handle, revision=planned.revision)
    world.put("other/endpoint.json", encode(placed))
    assert [row[:3] for row in world.rows()] == [["other", "pending", ""]]
    assert asked == []


def test_a_damaged_endpoint_keeps_no_other_from_being_told(
    tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(str(tmp_path / "runs"))
    planned = deployment(tmp_path, world.runs)
    placed = Placed(name="digits", on="local", handle=LocalHost().plan(planned).handle, revision=planned.revision)
    world.place(placed)
    world.place(structs.replace(placed, name="b", on="docker"), RunState.FAILED)

    def damaged(*_: object, **__: object) -> None:
        datetime.fromisoformat("no time")

    monkeypatch.setattr(Endpoint, "status", damaged)
    assert [row[:2] for row in world.rows()] == [["b", "failed"], ["digits", "not known"]]
    assert asked == []


def test_an_address_that_is_none_of_the_web_leads_nowhere(tmp_path: Path, asked: list[str]) -> None:
    world = World(str(tmp_path / "runs"))
    planned = deployment(tmp_path, world.runs)
    handle = LocalHost().plan(planned).handle
    placed = Placed(name="digits", on="local", handle=handle, revision=planned.revision)
    world.place(placed, url="javascript:alert(1)")
    assert world.rows()[0][2] == ""
    assert asked == [handle]
