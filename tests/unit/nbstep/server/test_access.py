"""Who may ask a server on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from nbstep.server.access import LocalAccess, new_token
from support.service import Service

if TYPE_CHECKING:
    from starlette.requests import Request

TOKEN = new_token()
OWN = "http://localhost:8000"
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def service() -> Service:
    async def who(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.caller)

    routes = [Route(path, who, methods=["GET", "POST"]) for path in ("/v1/runs", "/runs/{id:path}", "/healthz")]
    return Service(LocalAccess(Starlette(routes=routes), TOKEN, "submitter"))


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/v1/runs?token={TOKEN}", {}),
        ("/v1/runs", {"authorization": f"Bearer {TOKEN}"}),
        ("/v1/runs", {"cookie": f"other=1; nbstep-token-8000={TOKEN}"}),
        ("/v1/runs", {"cookie": f'prefs={{"a":1}}; x[1]=2; nbstep-token-8000={TOKEN}'}),
    ],
    ids=["address", "header", "cookie", "behind odd cookies"],
)
def test_whoever_has_the_token_is_let_through_by_name(service: Service, path: str, headers: dict[str, str]) -> None:
    answer = service.get(path, headers=headers)
    assert (answer.status_code, answer.text) == (200, "submitter")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/runs", {}),
        ("/v1/runs?token=", {}),
        (f"/v1/runs?token={TOKEN[:-1]}", {}),
        ("/v1/runs?token=%ff", {}),
        ("/v1/runs", {"authorization": "Bearer "}),
        ("/v1/runs", {"authorization": f"Bearer {TOKEN}x"}),
        ("/v1/runs", {"cookie": f"nbstep-token-9000={TOKEN}"}),
        ("/v1/nothing", {}),
    ],
    ids=["nothing", "empty", "too short", "no text", "empty header", "too long", "of another port", "no such path"],
)
@pytest.mark.fault(62)
@pytest.mark.fault(44)
def test_whoever_has_none_learns_nothing(service: Service, path: str, headers: dict[str, str]) -> None:
    answer = service.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["reference"] == "token-missing"
    assert TOKEN not in answer.text
    shown = service.post(path, headers=BROWSER | headers)
    assert (shown.status_code, shown.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "load this page again" in shown.text
    assert TOKEN not in shown.text


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "localhost@evil.example", "", "[::1", "10.0.0.1"],
)
@pytest.mark.fault(44)
def test_a_name_that_is_not_this_machines_is_refused(service: Service, host: str) -> None:
    """A page of another site may make its own name point to loopback; the browser then says that name."""
    for path in (f"/v1/runs?token={TOKEN}", "/healthz"):
        assert service.get(path, headers={"host": host}).status_code == 403


@pytest.mark.fault(44)
def test_a_refusal_compiles_no_template_anew(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has no token must not keep the server at work."""
    first = service.get("/v1/runs", headers=BROWSER)
    monkeypatch.delattr(Environment, "compile")
    assert service.get("/v1/runs", headers=BROWSER).text == first.text


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "LOCALHOST:8000"])
def test_every_name_of_loopback_is_answered(service: Service, host: str) -> None:
    headers = {"host": host, "authorization": f"Bearer {TOKEN}"}
    assert service.get("/v1/runs", headers=headers).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:9000", "https://localhost:8000", "null"])
@pytest.mark.fault(44)
def test_a_page_of_another_site_is_refused(service: Service, origin: str) -> None:
    headers = {"origin": origin, "authorization": f"Bearer {TOKEN}"}
    for method in ("GET", "POST"):
        assert service.request(method, "/v1/runs", headers=headers).status_code == 403


@pytest.mark.fault(44)
def test_a_cookie_alone_changes_nothing(service: Service) -> None:
    cookie = {"cookie": f"nbstep-token-8000={TOKEN}"}
    assert service.post("/v1/runs", headers=cookie).status_code == 403
    assert service.post("/v1/runs", headers=cookie | {"origin": OWN}).status_code == 200
    assert service.post("/v1/runs", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_a_page_opened_with_the_token_keeps_it_in_a_cookie_and_not_in_its_address(service: Service) -> None:
    answer = service.get(f"/runs/a?state=failed&token={TOKEN}&label=x%3D1", headers=BROWSER)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/runs/a?state=failed&label=x%3D1"
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
    followed = service.get(answer.headers["location"], headers={"cookie": cookie.partition(";")[0]})
    assert (followed.status_code, followed.text) == (200, "submitter")


@pytest.mark.parametrize("path", ["//evil.example/", "/%2Fevil.example/", "/\\evil.example/"])
def test_no_address_with_a_token_leads_to_another_host(service: Service, path: str) -> None:
    location = service.get(f"{OWN}{path}?token={TOKEN}", headers=BROWSER).headers["location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))


def test_whether_it_lives_is_told_to_everybody_here(service: Service) -> None:
    assert service.get("/healthz").status_code == 200
