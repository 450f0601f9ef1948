"""Forms that start runs, as a browser without scripts fills them in."""

from __future__ import annotations

import json
import re
import secrets
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

import nbstep
from nbstep import Run
from nbstep.backends.memory import MemoryBackend
from nbstep.profiles.storage import store_of
from nbstep.server.bodies import CARRIED_BYTES
from nbstep.submission.find import Submitted
from nbstep.submission.places import RunPlaces
from nbstep.sweeps.sets import MOST_SETS
from nbstep_runner.contract import ParameterSource, StorageOptions, SweepSpec, UnknownParameters, decode
from nbstep_runner.parameters import Signature, resolve
from support import notebooks
from support.pages import without_ours
from support.service import Service

BROWSER = {"accept": "text/html", "origin": "http://localhost:8000"}
HOSTILE = "</textarea><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
PARAMETERS = """
from typing import Literal
import datetime
alpha: float = 0.5  # how fast it learns
epochs: int  # how often it sees everything
model: Literal["linear", "1", 1] = "linear"
day: datetime.date = datetime.date(2026, 1, 1)
token: str = ""
text: str = "one\\n two"
layers: list[int] = [64, 32]
quick: bool | None = None
"""
OPENED = ["resources", "retries", "env.MODE", "kubernetes.node_selector", "collect"]


class Form(HTMLParser):
    """The last form of a page: where it is sent, and what it sends as it stands."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.action = self._open = ""
        self.fields: dict[str, str] = {}
        self.invalid: list[str] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self.action, self.fields = given["action"], {}
        elif tag == "input" and given.get("type") != "file":
            self.fields[name] = given.get("value", "")
        elif tag in ("select", "textarea"):
            self._open = name
            self.fields.setdefault(name, "")
        elif tag == "option" and self._open and (not self.fields[self._open] or "selected" in given):
            self.fields[self._open] = given.get("value", "")
        if given.get("aria-invalid"):
            self.invalid.append(name)

    def handle_endtag(self, tag: str) -> None:
        self._open = "" if tag in ("select", "textarea") else self._open

    def handle_data(self, data: str) -> None:
        if self._open and self.lasttag == "textarea":
            self.fields[self._open] += data.removeprefix("\n")


class World:
    """A folder of runs, a notebook, and the pages of the two."""

    def __init__(self, folder: Path, source: str = PARAMETERS) -> None:
        self.runs = f"memory://{secrets.token_hex(4)}/runs"
        self.notebook = str(notebooks.write(folder / "notebooks/train.ipynb", [parameters(source), "1"]))
        self.service = Service.of(
            folders={"team": {"uri": self.runs, "profiles": ["small", "large"]}, "read": {"uri": f"{self.runs}-2"}},
            notebooks=[str(folder / "notebooks")],
            profiles={"small": {"on": "memory"}, "large": {"on": "memory", "retries": 7, "open": OPENED}},
        )

    def get(self, path: str) -> httpx.Response:
        return self.service.get(path, headers=BROWSER)

    def form(self, **query: str) -> Form:
        asked = str(httpx.QueryParams({"notebook": self.notebook, **query}))
        return Form(self.get(f"/submit?{asked}"))

    def send(self, form: Form, changed: dict[str, str], action: str = "start") -> httpx.Response:
        """The form as a browser sends it, with some fields changed."""
        fields = form.fields | changed
        sent = {name: (None, value.replace("\n", "\r\n")) for name, value in fields.items()}
        return self.service.post(form.action, headers=BROWSER, files={**sent, "action": (None, action)})

    def started(self, answer: httpx.Response) -> Run:
        assert answer.status_code == 303, answer.text
        path = answer.headers["location"]
        assert path.startswith("/runs/")
        assert self.get(path).status_code == 200
        return cast("Run", nbstep.find(path.removeprefix("/runs/").partition("?")[0], runs=self.runs))

    def parameters(self, run: Run) -> dict[str, Any]:
        text = self.read(RunPlaces.of(self.runs, run.id).params).decode()
        source = ParameterSource.yaml(text)
        return resolve((source,), lambda _: b"", Signature(), unknown=UnknownParameters.IGNORE).as_json()

    def read(self, uri: str) -> bytes:
        return store_of(uri, StorageOptions()).read(uri).data

    def uris(self) -> list[str]:
        return [stat.uri for stat in store_of(self.runs, StorageOptions()).list(f"{self.runs}/")]

    def ids(self) -> set[str]:
        return {uri.removeprefix(f"{self.runs}/").partition("/")[0] for uri in self.uris()}


def parameters(source: str) -> notebooks.Code:
    return notebooks.Code(source, tags=("parameters",))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_named_notebook_is_started_with_what_was_changed(world: World) -> None:
    """What is left as it was is not given: the notebook's own default holds, also one that is no literal."""
    form = world.form(folder="team")
    assert form.fields["parameter.alpha"] == "0.5"
    assert form.fields["parameter.text"] == "one\n two"
    run = world.started(
        world.send(form, {"parameter.epochs": "3", "parameter.model": "1", "labels": "team=a\nnote = b"})
    )
    assert world.parameters(run) == {"epochs": 3, "model": 1}
    assert run.spec().labels == {"team": "a", "note": "b", "nbstep/submitted-by": "submitter"}
    assert run.id.startswith("train-")
    everything = world.send(
        world.form(),
        {
            "parameter.epochs": "1",
            "parameter.alpha": "NaN",
            "parameter.model": '"1"',
            "parameter.day": "2026-02-03",
            "parameter.token": "TOKEN",
            "way.parameter.token": "env",
            "parameter.text": "a\n\nb",
            "parameter.layers": "[1, 2]",
            "parameter.quick": "false",
        },
    )
    given = world.parameters(world.started(everything))
    assert given.pop("alpha") != given.get("alpha"), "NaN is no number like others"
    assert given == {
        "epochs": 1, "model": "1", "day": "2026-02-03", "token": {"secret": "env:TOKEN"}, "text": "a\n\nb",
        "layers": [1, 2], "quick": False,
    }  # fmt: skip


def test_an_uploaded_notebook_is_carried_from_step_to_step(world: World) -> None:
    content = json.dumps(notebooks.notebook([parameters("alpha = 1"), "2"]), indent=1).encode() + b"\r\n"
    files = {"file": ("../../etc/My Own.ipynb", content)}
    asked = world.service.post("/submit?folder=team", headers=BROWSER, files=files)
    again = world.send(Form(asked), {"parameter.alpha": "x"}, action="show")
    run = world.started(world.send(Form(again), {"parameter.alpha": "7"}))
    assert run.id.startswith("my-own-")
    assert world.read(RunPlaces.of(world.runs, run.id).input) == content
    assert world.parameters(run) == {"alpha": 7}


def test_what_cannot_be_taken_is_said_at_its_field_and_nothing_typed_is_lost(world: World) -> None:
    typed = {
        "parameter.alpha": HOSTILE, "parameter.layers": "[1,\n 'x']", "parameter.model": "3",
        "override.retries": "-1", "override.resources.memory": "much", "labels": "nbstep/submitted-by=reader",
        "way.parameter.token": "file", "parameter.token": "not a path",
    }  # fmt: skip
    answer = world.send(world.form(profile="large"), typed)
    assert answer.status_code == 422
    assert "<script" not in without_ours(answer.text)
    form = Form(answer)
    assert sorted(form.invalid) == [
        "labels", "override.resources.memory", "override.retries", "parameter.alpha", "parameter.epochs",
        "parameter.layers", "parameter.model", "parameter.token",
    ]  # fmt: skip
    for name, value in typed.items():
        if name != "parameter.model":  # a browser sends nothing but a choice
            assert form.fields[name] == value
    assert world.ids() == set()
    mended = {
        "parameter.alpha": "1", "parameter.epochs": "1", "parameter.layers": "[]", "parameter.token": "/run/token",
        "override.retries": "3", "override.resources.memory": "2Gi", "override.env.MODE": "true", "labels": "",
        "override.kubernetes.node_selector": "disk=ssd\nzone=a", "override.collect": "*.csv, model/",
    }  # fmt: skip
    run = world.started(world.send(form, mended))
    sent = decode(world.read(RunPlaces.of(world.runs, run.id).submission), Submitted).profile
    assert (sent["retries"], sent["resources"]["memory"], sent["collect"]) == (3, "2Gi", ["*.csv", "model/"])
    assert sent["kubernetes"]["node_selector"] == {"disk": "ssd", "zone": "a"}
    assert "MODE" in sent["env"]


def test_another_profile_is_looked_at_without_losing_what_was_typed(world: World) -> None:
    first = world.form()
    assert "override.retries" not in first.fields
    shown = Form(world.send(first, {"profile": "large", "parameter.alpha": "0.7"}, action="show"))
    assert shown.fields["parameter.alpha"] == "0.7"
    assert shown.fields["override.retries"] == ""
    assert "the profile&#39;s: 7" in world.send(first, {"profile": "large"}, action="show").text
    assert world.ids() == set()
    refused = world.send(first, {"profile": "small", "parameter.epochs": "1", "override.retries": "9"})
    assert world.started(refused), "a field that the form does not have says nothing"


def test_a_form_says_how_the_fields_of_a_profile_are_written(world: World) -> None:
    page = world.get(f"/submit?notebook={world.notebook}&profile=large").text
    assert re.search(r'collect <code class="quiet">separated by commas</code>', page)
    assert "<details>" in page, "many fields are folded"
    refused = world.send(Form(world.get(f"/submit?notebook={world.notebook}&profile=large")), {"override.retries": "x"})
    assert "<details open>" in refused.text


def test_what_is_sent_twice_is_one_run_and_what_is_changed_another(world: World) -> None:
    form = world.form()
    twice = [world.started(world.send(form, {"parameter.epochs": "1"})).id for _ in range(2)]
    other = world.started(world.send(form, {"parameter.epochs": "2"})).id
    assert world.ids() == {twice[0], other}
    assert twice[0] == twice[1]


@pytest.fixture
def sweeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the place of the profiles start sweeps."""
    monkeypatch.setattr(MemoryBackend, "sweep_workers", lambda _, jobs: (jobs or 8, 1), raising=False)


@pytest.mark.usefixtures("sweeping")
def test_several_values_make_a_sweep_of_every_combination(world: World) -> None:
    form = Form(world.send(world.form(profile="large"), {"parameter.alpha": "0.7"}, action="many"))
    assert (form.fields["profile"], form.fields["parameter.alpha"]) == ("large", "0.7")
    none = world.send(form, {"parameter.epochs": "1"})
    assert (none.status_code, "no parameter has several values" in none.text) == (422, True)
    many = ", ".join(["1"] * (MOST_SETS + 1))
    typed = {"several.layers": "[[1], 'x']", "several.model": many, "sweep.jobs": "0", "sweep.name": " "}
    wrong = Form(world.send(form, typed))
    assert sorted(wrong.invalid) == ["parameter.epochs", *sorted(typed)]
    given = {
        "several.epochs": "1, 2", "several.model": '["1", linear]', "several.layers": "[[1], [2, 3]]",
        "sweep.name": "lr/first", "sweep.jobs": "3", "sweep.per_worker": "2", "override.retries": "1",
    }  # fmt: skip
    twice = [world.send(wrong, given) for _ in range(2)]
    assert [each.status_code for each in twice] == [303, 303], twice[0].text
    (where,) = {each.headers["location"] for each in twice}
    assert where == "/sweeps/lr/first?folder=team"
    (uri,) = [uri for uri in world.uris() if uri.endswith("/sweep.json")]
    plan = decode(world.read(uri), SweepSpec)
    assert [dict(sorted(each.items())) for each in plan.sets] == [
        {"epochs": epochs, "layers": layers, "model": model}
        for epochs in (1, 2) for model in ("1", "linear") for layers in ([1], [2, 3])
    ]  # fmt: skip
    assert {each.parameters[0].mapping["alpha"] for each in plan.specs} == {0.7}
    assert (plan.jobs, plan.retries) == (2, 1)
    assert world.get(where).text.count('class="state pending">pending') == len(plan.sets)


@pytest.mark.usefixtures("sweeping")
def test_what_was_typed_for_a_sweep_is_there_again_after_one_run_was_looked_at(world: World) -> None:
    typed = {"several.epochs": "1, 2", "sweep.name": "lr/first", "sweep.jobs": "3", "parameter.alpha": "0.7"}
    form = Form(world.send(world.form(), {}, action="many"))
    asked = world.send(form, typed, action="one")
    assert "sweep" not in Form(asked).fields
    assert 'id="several.epochs"' not in asked.text
    one = Form(world.send(Form(asked), {"profile": "large"}, action="show"))
    again = Form(world.send(one, {}, action="many"))
    assert {name: again.fields[name] for name in typed} == typed
    run = world.started(world.send(one, {"parameter.epochs": "1"}))
    assert world.parameters(run) == {"alpha": 0.7, "epochs": 1}


@pytest.mark.usefixtures("sweeping")
def test_values_of_parameters_that_are_not_known_make_a_sweep_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    notebooks.write(Path(world.notebook), ["1"])
    form = Form(world.send(world.form(), {}, action="many"))
    typed = {"sweep.others": "a: 1\nb: <2>"}
    one = Form(world.send(form, typed, action="one"))
    wrong = Form(world.send(Form(world.send(one, {}, action="many")), {}))
    assert (wrong.invalid, wrong.fields["sweep.others"]) == (["sweep.others"], typed["sweep.others"])
    started = world.send(wrong, {"sweep.others": "a: [1, x]", "further": "b: 2"})
    assert started.headers["location"].startswith("/sweeps/train-"), started.text
    (uri,) = [uri for uri in world.uris() if uri.endswith("/sweep.json")]
    assert [each.parameters[0].mapping for each in decode(world.read(uri), SweepSpec).specs] == [
        {"b": 2, "a": 1},
        {"b": 2, "a": "x"},
    ]


def test_a_folder_whose_profiles_start_no_sweeps_offers_none(world: World) -> None:
    page = world.get(f"/submit?notebook={world.notebook}").text
    assert 'value="many"' not in page
    assert "sweep.name" not in Form(world.send(world.form(), {}, action="many")).fields


def test_a_run_is_run_again_with_its_own_values_in_the_form(world: World) -> None:
    earlier = world.started(
        world.send(world.form(), {"parameter.epochs": "3", "parameter.token": "T", "way.parameter.token": "env"})
    )
    path = f"/runs/{earlier.id}/rerun?folder=team"
    form = Form(world.get(path))
    assert (form.action, form.fields["parameter.epochs"]) == (path, "3")
    assert (form.fields["parameter.token"], form.fields["way.parameter.token"]) == ("T", "env")
    again = world.started(world.send(form, {"parameter.alpha": "2"}))
    assert again.id != earlier.id
    assert re.fullmatch(r"train-\d{8}-\d{6}-[0-9a-f]{6}", again.id)
    assert world.parameters(again) == {"epochs": 3, "token": {"secret": "env:T"}, "alpha": 2.0}
    assert world.get("/runs/nobodys/rerun").status_code == 404


def test_a_notebook_whose_parameters_are_not_known_takes_any(tmp_path: Path) -> None:
    world = World(tmp_path)
    notebooks.write(Path(world.notebook), ["1"])
    wrong = world.send(world.form(), {"further": "[1]"})
    assert (wrong.status_code, Form(wrong).invalid) == (422, ["further"])
    run = world.started(world.send(Form(wrong), {"further": "a: 1\nb: 'no'"}))
    assert world.parameters(run) == {"a": 1, "b": "no"}


def test_names_and_texts_of_any_language_arrive_as_they_are(tmp_path: Path) -> None:
    world = World(tmp_path, 'größe: float = 1.0\ntext: str = "  as\\nit is"\nmode: str = "x"\n')
    form = world.form()
    text = "\n\N{SNOWMAN} first, and\ttabs \n"
    run = world.started(world.send(form, {"parameter.größe": "2", "parameter.text": text, "parameter.mode": ""}))
    assert world.parameters(run) == {"größe": 2.0, "text": text, "mode": ""}


@pytest.mark.fault(62)
@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"notebook": "/etc/passwd"}, 403, "none of the places"),
        ({"notebook": "http://169.254.169.254/a.ipynb"}, 403, "none of the places"),
        ({"notebook": HOSTILE}, 403, "none of the places"),
        ({"notebook": "{folder}/notebooks/other.ipynb"}, 404, "no notebook"),
        ({"notebook": "{folder}/notebooks/train.ipynb", "profile": "huge"}, 400, "huge"),
        ({"folder": "read"}, 200, "submit"),
        ({"folder": "read", "notebook": "{folder}/notebooks/train.ipynb"}, 403, "no runs are submitted"),
        ({"folder": "nobodys"}, 404, "nobodys"),
    ],
)
def test_a_notebook_that_cannot_be_chosen(
    world: World, tmp_path: Path, query: dict[str, str], status: int, said: str
) -> None:
    asked = httpx.QueryParams({name: value.replace("{folder}", str(tmp_path)) for name, value in query.items()})
    answer = world.get(f"/submit?{asked}")
    assert (answer.status_code, said in answer.text) == (status, True)
    assert "<script" not in without_ours(answer.text)
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("sent", ["nothing", "empty", "no notebook", "large", "damaged"])
def test_a_file_that_is_no_notebook_is_refused_on_the_first_page(world: World, sent: str) -> None:
    contents = {"empty": b"", "no notebook": b"{}", "large": b"x" * (CARRIED_BYTES + 1)}
    if sent == "damaged":
        answer = world.service.post("/submit", headers=BROWSER, data={"carried": "<>", "name": "a.ipynb"})
    else:
        files = {"file": ("a.ipynb", contents[sent])} if sent in contents else {"other": (None, "x")}
        answer = world.service.post("/submit", headers=BROWSER, files=files)
    assert answer.status_code in (413, 422)
    if sent != "large":
        assert Form(answer).invalid == ["file"]
    assert world.ids() == set()


def test_notebooks_to_choose_from_are_offered_without_those_of_runs(world: World, tmp_path: Path) -> None:
    for folder in (".hidden", "run"):
        notebooks.write(tmp_path / "notebooks" / folder / "input.ipynb", ["1"])
    (tmp_path / "notebooks/run/spec.json").write_text("{}")
    page = world.get("/submit").text
    assert page.count("<option value=") == 1
    assert f'<option value="{world.notebook}">' in page


@pytest.mark.fault(62)
def test_an_address_alone_starts_nothing(world: World) -> None:
    """Whoever is led to it would start a run without having asked for one."""
    earlier = world.started(world.send(world.form(), {"parameter.epochs": "1"}))
    for path in ("/submit", f"/runs/{earlier.id}/rerun"):
        query = httpx.QueryParams({"notebook": world.notebook, "action": "start", "parameter.epochs": "1"})
        answer = world.get(f"{path}?{query}")
        assert (answer.status_code, Form(answer).invalid) == (200, [])
    assert world.ids() == {earlier.id}


@pytest.mark.fault(62)
@pytest.mark.parametrize("path", ["/submit", "/runs/any/rerun"])
def test_a_cookie_alone_starts_nothing(world: World, path: str) -> None:
    for origin in ({}, {"origin": "http://evil.example"}):
        service = Service(world.service.app)
        cookie = {"cookie": f"nbstep-token-8000={world.service.headers['authorization'].removeprefix('Bearer ')}"}
        assert service.get("/submit", headers={**cookie, "accept": "text/html"}).status_code == 200
        assert service.post(path, headers={**cookie, **origin}, data={"notebook": world.notebook}).status_code == 403
