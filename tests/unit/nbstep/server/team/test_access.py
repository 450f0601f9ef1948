"""Who is let in to a team's server, and what each of them may do there, by every way to be known but a cluster's."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING, Any, Final

import pytest

from nbstep.server.following import Streams
from nbstep.server.team.service import team
from nbstep_runner.errors import BadInputError
from support import notebooks
from support.service import Service, config

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

TOKENS: Final = {name: f"token-of-{name}" for name in ("submitter", "reader", "stranger", "old")}
OWN: Final = "https://runs.example"
HTML: Final = {"accept": "text/html"}
LIMITS: Final = {"requests_per_minute": 1000}


@dataclass
class World:
    """A team: one starts runs in ``a``, one is of the group that looks, and a stranger has nothing to do with it."""

    folder: Path
    more: dict[str, Any]

    def __post_init__(self) -> None:
        self.file = self.folder / "tokens.yaml"
        self.write_tokens(*TOKENS)
        self.notebook = str(notebooks.write(self.folder / "notebooks/a.ipynb", ["1"]))
        folder = {"profiles": ["small"], "submitters": ["submitter"], "readers": ["submitter", "group:readers"]}
        document: dict[str, Any] = {
            "folders": {
                "a": {"uri": str(self.folder / "a"), **folder},
                "b": {"uri": "/nowhere", "readers": ["reader"]},
            },
            "notebooks": [str(self.folder / "notebooks")],
            "profiles": {"small": {"on": "memory", "open": ["resources.memory", "retries", "env.MODE"]}},
            "access": {"tokens": str(self.file)},
            "url": OWN,
            **self.more,
        }
        self.service = Service(team(config(**document), Streams(10)), base_url=OWN)

    def write_tokens(self, *names: str) -> None:
        tokens = [
            {"name": name, "sha256": hashlib.sha256(TOKENS[name].encode()).hexdigest()}
            | ({"groups": ["readers"]} if name == "reader" else {})
            | ({"until": "2020-01-01T00:00:00Z"} if name == "old" else {})
            for name in names
        ]
        self.file.write_text(json.dumps({"tokens": tokens}))

    def get(self, path: str, who: str = "", **headers: str) -> httpx.Response:
        return self.service.get(path, headers=bearer(who) | headers)

    def post(self, path: str, who: str = "", body: Any = None, **headers: str) -> httpx.Response:
        return self.service.post(path, headers=bearer(who) | headers, json=body or {})

    def submit(self, who: str = "", **headers: str) -> httpx.Response:
        return self.post("/v1/runs", who, {"notebook": self.notebook}, **headers)


def bearer(who: str) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS.get(who, who)}"} if who else {}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, {})


@pytest.mark.fault(62)
@pytest.mark.parametrize("who", ["", "nobody", "token-of-adb", "old", "x" * 20_000])
def test_whoever_is_not_known_learns_nothing(world: World, who: str) -> None:
    for path in ("/v1/runs", "/v1/runs/a", "/openapi.json", "/metrics", "/", "/nothing"):
        answer = world.get(path, who)
        assert (answer.status_code, answer.json()["reference"]) == (401, "token-missing")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert [world.get(path, who).status_code for path in ("/healthz", "/readyz", "/static/style.css")] == [
        200,
        200,
        200,
    ]


def test_each_may_what_the_configuration_says(world: World) -> None:
    assert world.submit("reader").json()["detail"] == "you may not submit in a"
    started = world.submit("submitter")
    assert started.status_code == 202
    place = started.headers["location"]
    for who in ("submitter", "reader"):
        told = world.get(place, who).json()
        assert (told["state"], told["labels"]) == ("pending", {"nbstep/submitted-by": "submitter"})
    assert world.post(place.replace("?", "/cancel?"), "reader").status_code == 403
    for path in (place, "/v1/runs?folder=a", "/v1/runs?folder=c"):
        answer = world.get(path, "stranger")
        assert (answer.status_code, answer.json()["reference"]) == (404, "not-found")
    assert world.get("/v1/runs?folder=b", "submitter").json()["detail"] == "there is no folder 'b'"


@pytest.mark.parametrize(
    ("overrides", "status", "named"),
    [
        ({"resources": {"memory": "8Gi"}, "env": {"MODE": "x"}}, 202, None),
        ({"retries": -1}, 422, "retries"),
        ({"env": {"MODE": {"secret": "production", "key": "password"}}}, 403, "MODE"),
        ({"resources": {"memory": "8Gi", "cpu": 64}}, 403, "resources.cpu"),
        ({"resources": 1}, 403, "resources"),
        ({"image": "other"}, 403, "image"),
        ({"env": {"PATH": "/evil"}}, 403, "env.PATH"),
        ({"kubernetes": {"namespace": "theirs"}}, 403, "kubernetes"),
        ({"runs": "s3://other"}, 403, "runs"),
        ({"resources.cpu": 64}, 403, "resources.cpu"),
    ],
)
def test_a_request_sets_what_its_profile_opens(
    world: World, overrides: dict[str, Any], status: int, named: str | None
) -> None:
    answer = world.post("/v1/runs", "submitter", {"notebook": world.notebook, "overrides": overrides})
    assert answer.status_code == status
    assert named is None or named in answer.json()["detail"]


def test_tokens_that_are_taken_away_or_changed_count_at_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    assert world.get("/v1/runs", "submitter").status_code == 200
    world.write_tokens("reader")
    assert (world.get("/v1/runs", "submitter").status_code, world.get("/v1/runs", "reader").status_code) == (401, 200)
    world.file.write_text("tokens: [{name: reader}]")
    answer = world.get("/v1/runs", "reader")
    assert (answer.status_code, str(world.file) in answer.text) == (503, False)
    assert "sha256" in caplog.text


def test_a_page_asks_for_a_token_and_a_cookie_keeps_it(world: World) -> None:
    page = world.get("/runs/x?folder=a", **HTML)
    assert (page.status_code, 'value="/runs/x?folder=a"' in page.text) == (401, True)
    form = {"token": TOKENS["submitter"], "wanted": "//evil.example/"}
    headers = {"origin": OWN, **HTML}
    answer = world.service.post("/sign-in", data=form, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/evil.example/")
    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= parts
    cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert world.get("/", **cookie).status_code == 200
    assert world.submit(**cookie).json()["reference"] == "forbidden"
    assert world.submit(**cookie, origin="https://evil.example").status_code == 403
    assert world.submit(**cookie, origin=OWN).status_code == 202
    wrong = world.service.post("/sign-in", data=form | {"token": "x"}, headers=headers)
    assert (wrong.status_code, "set-cookie" in wrong.headers, "not known here" in wrong.text) == (401, False, True)
    assert world.service.post("/sign-in", data=form, headers={"origin": "https://evil.example"}).status_code == 403


def test_a_form_that_is_sent_once_signed_out_is_sent_again_once_signed_in(world: World) -> None:
    headers = {"origin": OWN, **HTML}
    content = json.dumps(notebooks.notebook(["1"])).encode()
    files = {"file": ("my own.ipynb", content), "labels": (None, "<b>=1")}
    asked = world.service.post("/submit?folder=a", headers=headers, files=files)
    assert (asked.status_code, "not lost" in asked.text) == (401, True)
    kept = {unescape(name): unescape(value) for name, value in HIDDEN.findall(asked.text)}
    assert (kept["wanted"], kept["name"], kept["labels"]) == ("/submit?folder=a", "my own.ipynb", "<b>=1")
    assert base64.b64decode(kept["carried"]) == content
    wrong = world.service.post("/sign-in", headers=headers, files=form_of(kept | {"token": "x"}))
    assert (wrong.status_code, dict(HIDDEN.findall(wrong.text)).keys()) == (401, kept.keys())
    sent = form_of(kept | {"token": TOKENS["submitter"]})
    answer = world.service.post("/sign-in", headers=headers, files=sent)
    assert (answer.status_code, answer.headers["location"]) == (307, "/submit?folder=a")
    cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0]}
    form = world.service.post("/submit?folder=a", headers=headers | cookie, files=sent)
    assert (form.status_code, "my own.ipynb" in form.text) == (200, True)
    refused = world.service.post("/submit?folder=a", headers=headers, files=sent)  # by a browser without the cookie
    assert (refused.status_code, "my own.ipynb" in refused.text) == (401, True)
    assert TOKENS["submitter"] not in form.text + refused.text
    for further in ({"origin": "https://evil.example"}, {"content-type": "multipart/form-data"}):
        refused = world.service.post("/submit", headers=HTML | further, content=b"x")
        assert (refused.status_code, "carried" in refused.text) == (403, False)
    damaged = {"content-type": "multipart/form-data", **headers}
    assert world.service.post("/submit", headers=damaged, content=b"x").status_code == 400


HIDDEN: Final = re.compile('<input type="hidden" name="([^"]*)" value="([^"]*)">')


def form_of(fields: dict[str, str]) -> dict[str, tuple[None, str]]:
    """A form as a browser sends it."""
    return {name: (None, value) for name, value in fields.items()}


def test_signing_out_takes_the_cookie_away_and_only_one_of_our_pages_does_that(tmp_path: Path) -> None:
    world = World(tmp_path, {"url": f"{OWN}/nbstep"})
    cookie = {"cookie": f"nbstep-token={TOKENS['submitter']}"}
    asked = world.get("/sign-out", **cookie, **HTML)
    assert (asked.status_code, "set-cookie" in asked.headers) == (200, False)
    assert 'action="/nbstep/sign-out" method="post"' in asked.text
    assert world.post("/sign-out", **cookie, origin="https://evil.example").status_code == 403
    answer = world.post("/sign-out", **cookie, origin=OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/nbstep/sign-in")
    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}
    assert {'nbstep-token=""', "max-age=0", "path=/nbstep", "httponly", "secure"} <= parts


PROXY: Final = {"access": {"proxy": {"addresses": ["127.0.0.1/32"]}}, "url": None}


def test_runs_are_counted_for_whoever_may_read_their_folder(world: World) -> None:
    world.submit("submitter")
    told = world.get("/metrics", "submitter").text
    assert 'nbstep_runs{folder="a",state="pending"} 1.0' in told or 'nbstep_runs{folder="a",state="unread"} 1.0' in told
    assert "nbstep_runs{" not in world.get("/metrics", "stranger").text


def test_a_proxy_says_who_somebody_is(tmp_path: Path) -> None:
    world = World(tmp_path, PROXY)
    submitter = {"x-forwarded-user": "submitter"}
    assert world.get("/v1/runs", **submitter).status_code == 200
    assert world.get("/v1/runs", **{"x-forwarded-user": "zoe", "x-forwarded-groups": "all, readers"}).status_code == 200
    assert world.get("/v1/runs", "submitter").status_code == 401
    assert world.submit(**submitter).json()["detail"] == "the request has no Origin"
    assert world.submit(**submitter, origin=OWN).status_code == 202
    assert "no token" in world.get("/", **HTML).text


@pytest.mark.fault(62)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("x-forwarded-user", "submitter"), ("x-forwarded-user", "reader")], 403),
        ([("x-forwarded-user", "stranger"), ("x-forwarded-groups", "x"), ("x-forwarded-groups", "readers")], 403),
        ([("x-forwarded-user", "system:serviceaccount:a:b")], 403),
        ([("x-forwarded-user", "stranger"), ("x-forwarded-groups", "x,system:masters")], 403),
        ([("x-forwarded-user", " ")], 403),
        ([("x-forwarded-user", "group:readers")], 404),
        ([("x-remote-user", "submitter")], 401),
    ],
)
def test_nobody_is_made_somebody_else_by_a_header(tmp_path: Path, headers: list[tuple[str, str]], status: int) -> None:
    assert World(tmp_path, PROXY).service.request("GET", "/v1/runs", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("user", "status", "said"),
    [
        ("Über".encode(), 200, ""),
        ("Über".encode("latin-1"), 403, "the proxy names a caller in another encoding than UTF-8"),
        (b"a\x7fb", 403, "the proxy names a caller by what is no name"),
    ],
)
def test_a_name_is_utf_8(tmp_path: Path, user: bytes, status: int, said: str) -> None:
    folders = {"a": {"uri": str(tmp_path / "a"), "readers": ["Über"]}}
    world = World(tmp_path, PROXY | {"folders": folders})
    answer = world.service.request("GET", "/v1/runs", headers=[(b"x-forwarded-user", user)])
    assert answer.status_code == status
    assert said in answer.text


@pytest.mark.fault(62)
def test_a_header_from_elsewhere_than_the_proxy_means_nothing(tmp_path: Path) -> None:
    elsewhere = {"access": {"proxy": {"addresses": ["10.0.0.0/8", "::1/128"]}}}
    assert World(tmp_path, elsewhere).get("/v1/runs", **{"x-forwarded-user": "submitter"}).status_code == 401


def test_a_caller_who_asks_too_often_waits_and_no_other_does(tmp_path: Path) -> None:
    world = World(tmp_path, {"limits": {"requests_per_minute": 20, "submissions_per_minute": 2}})
    assert [world.submit("submitter").status_code for _ in range(3)] == [202, 202, 429]
    asked = (
        (number, world.get("/v1/runs", "submitter")) for number in range(1, 500)
    )  # a slow machine has time for more
    number, refused = next(each for each in asked if each[1].status_code != 200)
    assert number >= 18
    assert (refused.status_code, refused.json()["reference"]) == (429, "busy")
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    assert world.get("/v1/runs", "reader").status_code == 200


@pytest.mark.parametrize("path", ["/team/nbstep", ""])
def test_behind_a_prefix_whether_or_not_the_proxy_takes_it_away(tmp_path: Path, path: str) -> None:
    world = World(tmp_path, {"url": "https://runs.example/team/nbstep/"})
    started = world.post(f"{path}/v1/runs", "submitter", {"notebook": world.notebook})
    assert started.status_code == 202
    assert started.headers["location"].startswith("/team/nbstep/v1/runs/")
    assert world.get(started.headers["location"], "submitter").status_code == 200
    page = world.get(f"{path}/", "submitter", **HTML).text
    assert 'href="/team/nbstep/static/style.css"' in page
    assert world.get(path or "/", "submitter", **HTML).status_code == 200
    assert world.get(f"{path}/healthz").status_code == 200
    sign_in = world.get(f"{path}/", **HTML)
    assert 'action="/team/nbstep/sign-in"' in sign_in.text
    missing = world.get(f"{path}/runs/none?folder=a", "submitter", **HTML)
    assert (missing.status_code, missing.headers["content-type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize("path", ["/runs", "/static/x", "/v1", "/sign-in", "/sign-out", "/healthz"])
def test_a_prefix_that_could_be_an_address_of_the_service_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(BadInputError, match=f"the path of url, {path}, begins with"):
        World(tmp_path, {"url": f"{OWN}{path}/"})


def test_the_port_that_is_meant_anyway_may_be_written(tmp_path: Path) -> None:
    world = World(tmp_path, {"url": f"{OWN}:443/nbstep"})
    form = {"token": TOKENS["submitter"], "wanted": "/"}
    assert world.service.post("/nbstep/sign-in", data=form, headers={"origin": OWN}).status_code == 303


def test_who_has_done_what_to_which_run_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="nbstep.audit")
    run_id = world.submit("submitter").json()["id"]
    world.get(f"/v1/runs/{run_id}?folder=a", "stranger")
    world.get("/v1/runs/" + "x" * 3000)
    world.get("/healthz")
    submitted, denied, unknown = [record.told for record in caplog.records if record.name == "nbstep.audit"]  # type: ignore[attr-defined]  # ours
    kept = ("caller", "method", "path", "folder", "run", "status")
    assert [submitted[name] for name in kept] == ["submitter", "POST", "/v1/runs", "a", run_id, 202]
    assert (denied["caller"], denied["run"], denied["status"], "folder" in denied) == ("stranger", run_id, 404, False)
    assert (unknown["status"], "caller" in unknown, len(unknown["path"])) == (401, False, 400)
