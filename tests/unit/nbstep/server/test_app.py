"""The application as a whole: what it says of itself, and what it offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import jsonschema
import pytest
from openapi_spec_validator import validate
from starlette.routing import Route

from nbstep.backends.registry import backend_named
from nbstep.server.access import LocalAccess
from nbstep.server.app import application
from nbstep.server.following import Streams
from nbstep.server.openapi import document
from nbstep_runner.contract import RunState
from nbstep_runner.errors import BadInputError
from support import notebooks
from support.processes import until
from support.service import TOKEN, Service, config

if TYPE_CHECKING:
    from pathlib import Path

    from nbstep.backends.memory import MemoryBackend


@pytest.fixture
def service(tmp_path: Path) -> Service:
    folder = {"uri": str(tmp_path / "runs"), "profiles": ["small"]}
    return Service.of(folders={"team": folder}, notebooks=[str(tmp_path)], profiles={"small": {"on": "memory"}})


def test_the_description_is_valid_and_of_every_route(service: Service, tmp_path: Path) -> None:
    described = service.get("/openapi.json").json()
    validate(described)
    assert described == document()
    app = application(config(folders={"team": {"uri": str(tmp_path)}}))
    offered = {
        (route.path.replace(":path", ""), method.lower())
        for route in app.routes
        if isinstance(route, Route) and route.path.startswith("/v1/")
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert offered == {(path, method) for path, methods in described["paths"].items() for method in methods}


@pytest.mark.parametrize(("path", "kind"), [("/v1/runs", "Asked"), ("/v1/sweeps", "AskedSweep")])
def test_the_json_of_a_form_is_described_as_it_is_read(path: str, kind: str) -> None:
    told = document()["paths"][path]["post"]["requestBody"]["content"]
    beside = told["multipart/form-data"]["schema"]["properties"]["request"]["contentSchema"]
    assert beside == told["application/json"]["schema"] == {"$ref": f"#/components/schemas/{kind}"}
    assert "html" in document()["components"]["schemas"][kind]["properties"]


def fits(method: str, path: str, answer: Any) -> None:
    """Check an answer against its description."""
    described = document()
    answers = described["paths"][path][method]["responses"]
    told = answers.get(str(answer.status_code), described["components"]["responses"]["problem"])
    (media_type,) = told["content"]
    assert answer.headers["content-type"].startswith(media_type)
    schema = {**told["content"][media_type]["schema"], "components": described["components"]}
    jsonschema.validate(answer.json(), schema, cls=jsonschema.Draft202012Validator)


def test_answers_are_what_the_description_says(service: Service, tmp_path: Path) -> None:
    notebook = notebooks.write(tmp_path / "a.ipynb", ["1"])
    started = service.post("/v1/runs", json={"notebook": str(notebook)})
    fits("post", "/v1/runs", started)
    place = started.headers["location"].partition("?")[0]
    fits("get", "/v1/runs/{id}", service.get(place))
    fits("get", "/v1/runs", service.get("/v1/runs"))
    fits("post", "/v1/runs/{id}/cancel", service.post(f"{place}/cancel"))
    fits("get", "/v1/runs/{id}", service.get(place))
    fits("get", "/v1/runs", service.get("/v1/runs"))
    fits("post", "/v1/runs/{id}/rerun", service.post(f"{place}/rerun"))
    for answer in (service.get("/v1/runs/nobodys"), service.get("/v1/runs/x/y"), service.post("/v1/runs", json={})):
        fits("get", "/v1/runs/{id}", answer)


def test_whether_it_is_ready(service: Service, tmp_path: Path) -> None:
    assert (service.get("/healthz").status_code, service.get("/readyz").status_code) == (200, 200)
    streams = Streams(1)
    app = application(config(folders={"team": {"uri": str(tmp_path)}}), streams)
    ending = Service(LocalAccess(app, TOKEN, "submitter"), token=TOKEN)
    streams.close()
    assert (ending.get("/healthz").status_code, ending.get("/readyz").status_code) == (200, 503)
    assert ending.get("/v1/runs").json()["runs"] == []


def test_requests_are_counted_by_the_routes_that_there_are(service: Service) -> None:
    for path in ("/v1/runs", "/v1/runs/a", "/v1/runs/b", "/made-up", "/made-up-too"):
        service.get(path)
    for path in ("/made-up", "/v1/runs"):
        service.request("BREW", path)
    counts = service.get("/metrics").text
    assert '_count{method="GET",route="/v1/runs/{id}",status="404"} 2.0' in counts
    assert '_count{method="",route="none",status="404"} 3.0' in counts
    assert "made-up" not in counts
    assert "BREW" not in counts
    assert "nbstep_event_streams 0.0" in counts


def test_runs_are_counted_by_state(service: Service, tmp_path: Path) -> None:
    def counted() -> dict[str, float]:
        lines = (line for line in service.get("/metrics").text.splitlines() if line.startswith("nbstep_runs{"))
        told = (line.removeprefix('nbstep_runs{folder="team",state="').split('"} ') for line in lines)
        return {state: float(count) for state, count in told}

    assert counted() == dict.fromkeys([*RunState, "unread"], 0.0)
    notebook = str(notebooks.write(tmp_path / "a.ipynb", ["1"]))
    for name in ("one", "two", "three"):
        service.post("/v1/runs", json={"notebook": notebook, "run_id": name})
    memory = cast("MemoryBackend", backend_named("memory"))
    memory.end("memory://one")
    memory.end("memory://two", error=BadInputError("no"))
    wanted = {"succeeded": 1.0, "failed": 1.0, "pending": 1.0}
    assert until(lambda: counted() == dict.fromkeys([*RunState, "unread"], 0.0) | wanted, 120), counted()


def test_a_method_that_an_address_has_not_is_refused_with_those_that_it_has(service: Service) -> None:
    for path, allowed in (("/v1/runs", "GET, HEAD, POST"), ("/v1/runs/a/cancel", "POST"), ("/v1/runs/a", "GET, HEAD")):
        answer = service.request("DELETE", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
