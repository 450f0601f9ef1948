"""Sweeps through a service: the launcher's call starts, follows, finds and ends them as it does elsewhere."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nbstep
from nbstep.backends.memory import MemoryBackend
from nbstep.backends.protocol import Phase, Status
from nbstep.errors import RunNotFoundError, ServiceDeniedError
from nbstep.profiles.storage import store_of
from nbstep.server import started_sweeps
from nbstep_runner.contract import ErrorInfo, RunResult, RunState, StorageOptions, SweepSpec, decode, encode
from nbstep_runner.errors import BadInputError, CellFailedError, OutputConflictError, StorageDeniedError, UsageError
from nbstep_runner.stores import redact, sibling
from support.answering import Answer, Request, asking
from support.service import Service
from support.through_service import Team


class Place:
    """The place of a service's sweeps, whose runs go as a test says."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.store = store_of(team.runs, StorageOptions())

    def plan(self, name: str) -> SweepSpec:
        return decode(self.store.read(f"{self.team.runs}/{name}/sweep.json").data, SweepSpec)

    def leave(self, name: str, number: int, **members: Any) -> None:
        """The record of one of its runs."""
        spec = self.plan(name).specs[number]
        record = replace(RunResult.blank(spec, redact), state=RunState.SUCCEEDED, exit_code=0, log_uri="there")
        self.store.write(sibling(spec.output_uri, ".result.json"), encode(replace(record, **members)))

    def say(self, name: str, phase: Phase, words: str = "", *, cancelled: bool = False) -> None:
        handle = f"memory://{name.rpartition('/')[2]}"
        self.team.memory._say(handle, Status(phase=phase, words=words, cancelled=cancelled))


@pytest.fixture
def place(team: Team, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(MemoryBackend, "sweep_workers", lambda _, jobs: (jobs or 8, 1), raising=False)
    return Place(team)


def sweep(team: Team, **options: Any) -> Any:
    given: dict[str, Any] = {"grid": {"rate": [0.5, 0.25]}, "output": "lr", "wait": False}
    return nbstep.sweep("train.ipynb", profile=team.profile, **given | options)


def name_of(started: Any) -> str:
    return str(started.handle.removeprefix(f"{started.handle.rpartition('/lr/')[0]}/"))


def test_a_sweep_goes_its_whole_way(team: Team, place: Place) -> None:
    started = sweep(team, params={"name": "b"}, labels={"kind": "trial"}, jobs=2)
    name = name_of(started)
    assert started.handle == f"{team.folder}/{name}"
    submission = team.memory._run(f"memory://{started.id}").submission
    assert (submission.workers, submission.spec.labels["kind"]) == (2, "trial")
    assert [spec.parameters[0].mapping for spec in place.plan(name).specs] == [
        {"name": "b", "rate": 0.5},
        {"name": "b", "rate": 0.25},
    ]
    assert started.status().state is RunState.PENDING
    place.say(name, Phase.RUNNING, "two of two processes run")
    place.leave(name, 0, results={"rmse": math.inf}, seconds=1.0)
    status = nbstep.find(started.handle).status()
    assert (status.state, status.words) == (
        RunState.RUNNING,
        "1 of 2 runs have ended, 0 of them failed; two of two processes run",
    )
    place.leave(name, 1, state=RunState.FAILED, exit_code=10, error=ErrorInfo(reference="cell-failed", message="no"))
    place.say(name, Phase.ENDED)
    found: Any = nbstep.find(started.id, runs=f"{team.folder}/lr", profile=team.profile)
    done = found.wait(120, check=False)
    assert [(run.name, run.parameters, run.state, run.error) for run in done] == [
        ("rate=0.5", {"rate": 0.5}, RunState.SUCCEEDED, ""),
        ("rate=0.25", {"rate": 0.25}, RunState.FAILED, "no"),
    ]
    assert done.runs[0].result.results == {"rmse": math.inf}
    assert done.runs[0].output_uri == f"{team.folder}/lr/rate=0.5/output.ipynb"
    first = nbstep.find(done.runs[0].output_uri, profile=team.profile)
    assert first.results == {"rmse": math.inf}
    place.store.write(f"{team.runs}/lr/rate=0.5/output.ipynb", Path("train.ipynb").read_bytes())
    assert first.notebook()["cells"][1]["source"] == "rate"
    stat = first.store.stat(first.output_uri)
    assert stat is not None
    assert (stat.uri, stat.size) == (first.output_uri, Path("train.ipynb").stat().st_size)
    assert done.exit_code == 10
    with pytest.raises(CellFailedError, match="no"):
        found.wait(120)
    assert [line.message for line in found.lines()][-1] == "sweep failed: 2 of 2 runs have ended, 1 of them failed"
    with pytest.raises(StorageDeniedError, match="which alone writes and removes"):
        found.delete()


def test_values_that_the_answer_has_no_room_for_are_read_of_their_records(team: Team, place: Place) -> None:
    started = sweep(team)
    name, large = name_of(started), "x" * 2**16
    place.leave(name, 0, parameters={"rate": 0.5}, results={"rmse": 0.5, "text": large})
    place.leave(name, 1, parameters={"rate": 0.25}, results={"rmse": 0.25})
    place.say(name, Phase.ENDED)
    done = started.wait(120)
    assert [run.parameters for run in done] == [{"rate": 0.5}, {"rate": 0.25}]
    assert [run.result.results for run in done] == [{"rmse": 0.5, "text": large}, {"rmse": 0.25}]
    assert done.runs[0].result.output_uri == done.runs[0].output_uri


def test_a_folder_of_runs_is_listed_alone(team: Team, place: Place) -> None:
    """Not all of the service's folder, whose runs others know by the same call."""
    team.end(team.submit(run_id="elsewhere"))
    for output in ("lr", "deep/lr"):
        name = sweep(team, output=output).handle.removeprefix(f"{team.folder}/")
        for number, begun in ((0, "2026-01-02T00:00:00Z"), (1, "2026-01-01T00:00:00Z")):
            place.leave(name, number, started_at=begun)
        listed = nbstep.history(f"{team.folder}/{output}")
        assert [each.output_uri for each in listed] == [
            f"{team.folder}/{output}/rate={rate}/output.ipynb" for rate in (0.5, 0.25)
        ]
    with pytest.raises(RunNotFoundError, match="there is no sweep 'team/none'"):
        nbstep.history(f"{team.folder}/none")


def test_the_same_sweep_again_is_that_sweep_and_makes_what_is_missing_once_it_has_ended(
    team: Team, place: Place
) -> None:
    started = sweep(team)
    name = name_of(started)
    place.say(name, Phase.RUNNING)
    assert sweep(team).handle == started.handle
    for number in (0, 1):
        place.leave(name, number)
    place.say(name, Phase.ENDED)
    submitted = place.store.stat(f"{team.runs}/{name}/submission.json")
    assert sweep(team).handle == started.handle
    assert place.store.stat(f"{team.runs}/{name}/submission.json") != submitted
    assert sweep(team, grid={"rate": [0.125]}).handle != started.handle


def test_it_is_cancelled_and_what_was_not_begun_is_told_so(team: Team, place: Place) -> None:
    started = sweep(team)
    nbstep.find(started.handle).cancel()
    assert team.memory._run(f"memory://{started.id}").status.phase is Phase.ENDED
    place.say(name_of(started), Phase.ENDED, cancelled=True)
    done = started.wait(120, check=False)
    assert ([run.state for run in done], started.status().state) == ([RunState.PENDING] * 2, RunState.CANCELLED)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"grid": {"rate": ["no"]}}, BadInputError, "rate"),
        ({"output": "../lr"}, UsageError, "is none that a sweep can have"),
        ({"output": "lr.files"}, UsageError, "is none that a sweep can have"),
        ({"output": "memory://elsewhere/lr"}, UsageError, "lie in its own folders"),
        ({"kernel": "ir"}, UsageError, "without kernel"),
        ({"force": True}, UsageError, "without force"),
        ({"files": ["train.ipynb"]}, UsageError, "without files"),
        ({"cold": True}, UsageError, "always forked elsewhere"),
        ({"resources": {"cpu": 2}}, ServiceDeniedError, "does not let a request set resources.cpu"),
        ({"options": {"server": {"folder": "none"}}}, RunNotFoundError, "there is no folder 'none'"),
        ({"output": "taken"}, OutputConflictError, "a run of team is named taken"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_started(
    options: dict[str, Any], kind: type[Exception], message: str, team: Team, place: Place
) -> None:
    team.end(team.submit(run_id="taken"))
    before = len(team.memory._runs)
    with pytest.raises(kind, match=message):
        sweep(team, **options)
    assert (len(team.memory._runs), list(place.store.list(f"{team.runs}/lr/"))) == (before, [])


@pytest.mark.usefixtures("place")
def test_what_is_no_sweep_is_told(team: Team) -> None:
    for name in ("lr/none", "none/none/none"):
        with pytest.raises(RunNotFoundError):
            nbstep.find(f"{team.folder}/{name}", profile=team.profile)


@pytest.mark.usefixtures("place")
class TestInterface:
    """What programs ask without the launcher."""

    @pytest.fixture
    def service(self, team: Team, tmp_path: Path) -> Service:
        profiles = {"small": {"on": "memory"}, "here": {"on": "local"}}
        folders = {"team": {"uri": team.runs, "profiles": ["small", "here"]}}
        self.notebook = str(tmp_path / "train.ipynb")
        return Service.of(folders=folders, profiles=profiles, notebooks=[str(tmp_path)], limits={"records": 4})

    def body(self, **members: Any) -> dict[str, Any]:
        sets = {"grid": {"rate": [0.5, 0.25]}, "matrix": [{"name": "a"}, {"name": "b"}]}
        return {"notebook": self.notebook, "name": "lr", **sets, **members}

    def test_a_grid_with_a_matrix_is_started_told_and_ended(self, service: Service, team: Team) -> None:
        answer = service.request("POST", "/v1/sweeps", json=self.body())
        assert answer.status_code == 202, answer.text
        where = answer.headers["location"]
        told = service.get(where).json()
        assert [each["parameters"] for each in told["sets"]] == [
            {"name": name, "rate": rate} for name in ("a", "b") for rate in (0.5, 0.25)
        ]
        assert (told["folder"], told["standing"]["state"]) == ("team/lr", "pending")
        assert service.get("/v1/sweeps/lr").json()["standing"] is None
        taken = service.request("POST", "/v1/sweeps", json=self.body(name=f"{answer.json()['id']}/x"))
        assert (taken.status_code, taken.json()["reference"]) == (409, "output-conflict")
        ended = service.request("POST", where.replace("?", "/cancel?"))
        assert (ended.status_code, ended.json()) == (202, answer.json())
        assert team.memory._run(f"memory://{answer.json()['id'].rpartition('/')[2]}").status.phase is Phase.ENDED

    @pytest.mark.fault(62)
    def test_a_repeated_request_is_one_sweep_and_another_none(self, service: Service, team: Team) -> None:
        key, before = {"idempotency-key": "once"}, len(team.memory._runs)
        first, again = (service.request("POST", "/v1/sweeps", json=self.body(), headers=key) for _ in range(2))
        assert (first.status_code, again.status_code, first.json()) == (202, 202, again.json())
        other = service.request("POST", "/v1/sweeps", json=self.body(matrix=[]), headers=key)
        run = {"notebook": self.notebook}
        elsewhere = service.request("POST", "/v1/sweeps", json=self.body(name="other"), headers=key)
        as_run = service.request("POST", "/v1/runs", json=run, headers=key)
        for refused in (other, elsewhere, as_run):
            assert (refused.status_code, refused.json()["reference"]) == (409, "output-conflict"), refused.text
        assert len(team.memory._runs) == before + 1
        assert service.request("POST", "/v1/runs", json=run, headers={"idempotency-key": "run"}).status_code == 202
        after = service.request("POST", "/v1/sweeps", json=self.body(), headers={"idempotency-key": "run"})
        assert (after.status_code, after.json()["reference"]) == (409, "output-conflict")

    def test_what_goes_on_by_its_name_is_that_very_sweep_or_keeps_it_from_starting(
        self, service: Service, team: Team
    ) -> None:
        team.submit(run_id="r1")
        taken = service.request("POST", "/v1/sweeps", json=self.body(run_id="r1"))
        assert (taken.status_code, taken.json()["reference"]) == (409, "output-conflict")
        first, again = (service.request("POST", "/v1/sweeps", json=self.body(run_id="s1")) for _ in range(2))
        assert (first.status_code, again.status_code, first.json()) == (202, 202, again.json())
        team.memory._say("memory://s1", Status(phase=Phase.RUNNING, words="it saves", cancelled=True))
        ends = service.request("POST", "/v1/sweeps", json=self.body(run_id="s1"))
        assert (ends.status_code, ends.json()["reference"]) == (409, "still-running")
        assert "it saves" in ends.json()["detail"]

    def test_what_has_ended_is_read_once_and_anew_once_it_is_started_again(
        self, service: Service, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = self.body(run_id="s2", matrix=[])
        where = service.request("POST", "/v1/sweeps", json=body).headers["location"]
        for number in (0, 1):
            place.leave("lr/s2", number, state=RunState.FAILED, exit_code=10)
        place.say("lr/s2", Phase.ENDED)
        assert [each["ended"] for each in service.get(where).json()["sets"]] == [True, True]
        reads, read = list[str](), type(place.store).read

        def counted(store: Any, uri: str) -> Any:
            reads.append(uri)
            return read(store, uri)

        monkeypatch.setattr(type(place.store), "read", counted)
        assert service.get(where).json()["standing"]["state"] == "failed"
        assert not [uri for uri in reads if uri.endswith("output.result.json")]
        monkeypatch.setattr(started_sweeps, "KEPT_BYTES", 1)
        other = service.request("POST", "/v1/sweeps", json=self.body(name="small")).headers["location"]
        assert (service.get(other).status_code, service.get(where).status_code) == (200, 200)
        assert len([uri for uri in reads if uri.endswith("output.result.json")]) == 2
        assert service.request("POST", "/v1/sweeps", json=body).status_code == 202
        place.say("lr/s2", Phase.RUNNING)
        again = service.get(where).json()
        assert (again["standing"]["state"], {each["ended"] for each in again["sets"]}) == ("running", {False})
        plan = place.plan("lr/s2")
        more = replace(plan, specs=plan.specs * 3, sets=plan.sets * 3)
        place.store.write(f"{place.team.runs}/lr/s2/sweep.json", encode(more))
        assert service.get(where).status_code == 413

    @pytest.mark.parametrize(
        ("members", "status", "reference"),
        [
            ({"matrix": [{"name": str(number)} for number in range(3)]}, 413, "too-large"),
            ({"grid": {"rate": list(range(1000)), "name": list(range(1000))}}, 400, "usage"),
            ({"grid": {}, "matrix": []}, 400, "usage"),
            ({"name": "%2e%2e/x"}, 400, "usage"),
            ({"name": "a/../b"}, 400, "usage"),
            ({"name": "output.x"}, 400, "usage"),
            ({"name": "a/" * 2**16 + "a"}, 400, "usage"),
            ({"matrix": [{"$number": "NaN"}]}, 422, "bad-input"),
            ({"jobs": 0}, 422, "bad-input"),
            ({"unknown": 1}, 422, "bad-input"),
            ({"profile": "here"}, 400, "usage"),
            ({"profile": "none"}, 400, "usage"),
            ({"notebook": "/etc/passwd"}, 403, "forbidden"),
        ],
    )
    def test_what_is_refused(self, members: dict[str, Any], status: int, reference: str, service: Service) -> None:
        answer = service.request("POST", "/v1/sweeps", json=self.body(**members))
        assert (answer.status_code, answer.json()["reference"]) == (status, reference), answer.text
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.fault(62)
    def test_a_plan_of_somebody_elses_leads_nowhere(self, service: Service, team: Team) -> None:
        """Whoever may write in the folder must not have the server judge or end what lies elsewhere."""
        path = service.request("POST", "/v1/sweeps", json=self.body()).json()["id"]
        store = store_of(team.runs, StorageOptions())
        plan = decode(store.read(f"{team.runs}/{path}/sweep.json").data, SweepSpec)
        up = tuple(replace(spec, output_uri=f"{team.runs}/../output.ipynb") for spec in plan.specs)
        store.write(f"{team.runs}/{path}/sweep.json", encode(replace(plan, specs=up)))
        answer = service.get(f"/v1/sweeps/{path}")
        assert (answer.status_code, answer.json()["reference"]) == (409, "bad-input")
        sent = store.read(f"{team.runs}/{path}/submission.json").data
        other = team.submit(run_id="other")
        store.write(f"{team.runs}/{path}/submission.json", sent.replace(path.rpartition("/")[2].encode(), b"other"))
        assert service.request("POST", f"/v1/sweeps/{path}/cancel").status_code == 404
        assert other.state is RunState.PENDING


def test_an_older_service_is_told_nothing_that_it_does_not_know(team: Team) -> None:
    """Its bodies are closed, without ``html``; what it has for sweeps is to be looked at alone."""
    refused = {"title": "Method Not Allowed", "status": 405, "detail": "Method Not Allowed", "reference": "usage"}
    sent: list[bytes] = []

    def older(request: Request) -> Answer:
        sent.append(request.body)
        if request.path.startswith("/v1/sweeps"):
            return 405, {}, json.dumps(refused)
        return 202, {}, json.dumps({"id": "r", "folder": "team"})

    with asking(older) as url:
        of_old = Team(url, team.runs)
        of_old.submit(run_id="r")
        with pytest.raises(UsageError, match=f"the service at {url} starts and ends no sweeps"):
            sweep(of_old)
        assert [b"html" in body for body in sent] == [False, False]
        of_old.submit(run_id="r", html=False)
        assert b'"html":false' in sent[-1]


def test_whoever_may_not_submit_starts_no_sweep() -> None:
    service = Service.of(folders={"a": {"uri": "memory://x/y"}})
    answer = service.request("POST", "/v1/sweeps", json={"name": "lr", "notebook": "/n.ipynb", "grid": {"a": [1]}})
    assert (answer.status_code, answer.json()["reference"]) == (403, "forbidden")
