"""Runs through a service: the launcher's calls do with them what they do with runs of any other place."""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

import nbstep
from nbstep import Profile, Run
from nbstep.api import start
from nbstep.backends.server.request import overrides
from nbstep.cli.prune import command
from nbstep.errors import RunNotFoundError, ServiceDeniedError
from nbstep.profiles.storage import store_of
from nbstep.submission.checkup import check_up
from nbstep.submission.places import RunPlaces
from nbstep.submission.removal import remove
from nbstep.submission.request import Prepared
from nbstep_runner.contract import RunState, StorageOptions
from nbstep_runner.errors import BadInputError, CellFailedError, OutputConflictError, StorageDeniedError, UsageError
from nbstep_runner.stores import sibling
from support.answering import Answer, Request, asking
from support.through_service import Team


def test_a_run_goes_its_whole_way(team: Team) -> None:
    run = team.submit({"rate": 0.25}, labels={"kind": "trial"})
    assert run.handle == f"{team.folder}/{run.id}" == str(nbstep.find(run.handle))
    assert run.state is RunState.PENDING
    team.memory.begin(team.handle(run))
    team.memory.log(team.handle(run), "epoch 1")
    assert (run.state, run.results, run.record()) == (RunState.RUNNING, {}, None)
    team.memory.log(team.handle(run), "done", event="run-finished")
    team.end(run, results={"rmse": math.inf, "n": 2})
    record = run.wait(120)
    assert (record.results, record.labels["kind"]) == ({"rmse": math.inf, "n": 2}, "trial")
    assert [line.message for line in run.lines(follow=True)] == ["epoch 1", "done"]
    assert [line.message for line in run.lines()] == ["epoch 1", "done"]
    printed = io.StringIO()
    nbstep.find(run.id, profile=team.profile).logs(file=printed)
    assert printed.getvalue() == "epoch 1\ndone\n"
    assert nbstep.find("latest", profile=team.profile).id == run.id == nbstep.find(run.id[:9], profile=team.profile).id
    (listed,) = nbstep.history(cast("str", team.folder), state="succeeded")
    assert (listed.run_id, listed.results, listed.output_uri) == (run.id, record.results, run.output_uri)
    assert nbstep.history(cast("str", team.folder), state="failed") == []


def test_a_failure_is_what_it_would_be_here(team: Team) -> None:
    run = team.submit()
    team.end(run, error=CellFailedError("cell 1 raised ValueError: no", hint="Look at the cell."))
    with pytest.raises(CellFailedError, match="cell 1 raised ValueError: no") as caught:
        run.wait(120)
    assert caught.value.hint == "Look at the cell."


def test_a_run_is_cancelled_and_one_that_is_lost_is_told_so(team: Team) -> None:
    run, lost = team.submit(), team.submit()
    run.cancel()
    assert run.wait(120, check=False).state is RunState.CANCELLED
    team.memory.vanish(team.handle(lost), "its machine was lost")
    record = lost.wait(120, check=False)
    assert (record.state, record.error and record.error.reference) == (RunState.LOST, "lost")
    assert nbstep.wait_all([run, lost], 120, check=False) == [run.record(), lost.record()]


def test_the_same_run_twice_is_one_and_another_of_its_name_is_refused(team: Team) -> None:
    assert team.submit({"rate": 1}, run_id="once").handle == team.submit({"rate": 1}, run_id="once").handle
    with pytest.raises(OutputConflictError, match="the run once was started by another request") as caught:
        team.submit({"rate": 2}, run_id="once")
    assert "new run_id" in caught.value.hint


@contextmanager
def losing_the_first_answer(url: str) -> Iterator[tuple[str, list[int]]]:
    """A way to a service on which the answer to the first POST is lost; and the status of each answer to one."""
    answered: list[int] = []

    def pass_on(request: Request) -> Answer | None:
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type")}
        answer = httpx.post(f"{url}{request.path}", content=request.body, headers=headers, trust_env=False, timeout=120)
        answered.append(answer.status_code)
        return (answer.status_code, {}, answer.content) if len(answered) > 1 else None

    with asking(pass_on) as way:
        yield way, answered


@pytest.mark.fault(62)
def test_a_run_whose_answer_was_lost_is_started_once(team: Team) -> None:
    assert team.profile.service is not None
    with losing_the_first_answer(team.profile.service.url) as (url, answered):
        run = Team(url, team.runs).submit({"rate": 0.25})
    assert answered == [202, 202]
    assert [record.run_id for record in nbstep.history(team.runs)] == [run.id]


def test_what_is_sent_is_what_was_asked_for(team: Team) -> None:
    given = {"rate": math.nan, "name": "12", "more": [2**70, {"secret": "env:OTHER"}]}
    run = team.submit(given, resources={"memory": "8Gi"}, retries=0, run_id="r")
    submission = team.memory._run(team.handle(run)).submission
    assert (submission.profile.resources.memory, submission.profile.retries) == ("8Gi", 0)
    places = RunPlaces.of(team.runs, "r")
    params = store_of(places.params, StorageOptions()).read(places.params).data.decode()
    assert params.splitlines() == ["rate: .nan", "name: '12'", "more:", f"- {2**70}", "- secret: env:OTHER"]


def test_what_is_named_is_sent_even_where_it_is_usual(team: Team) -> None:
    """The service's profile may say otherwise: whoever names a value has it, or is refused."""
    run = team.submit({}, retries=2, run_id="named")
    assert team.memory._run(team.handle(run)).submission.profile.retries == 2
    assert team.memory._run(team.handle(team.submit(run_id="plain"))).submission.profile.retries == 4
    for options, field in (
        ({"resources": {"gpu": 0}}, "resources.gpu"),
        ({"state": False}, "state"),
        ({"deadlines": {"grace": Profile().deadlines.grace}}, "deadlines"),
    ):
        with pytest.raises(ServiceDeniedError, match=f"does not let a request set {field}"):
            team.submit(**options)
    assert overrides(nbstep.profiles.overlaid(team.profile, {"retries": None})) == {}


def test_a_page_is_made_unless_the_call_says_otherwise(team: Team) -> None:
    runs = team.submit(), team.submit(html=False)
    assert [team.memory.spec(team.handle(run)).html for run in runs] == [True, False]


def test_a_run_is_run_again_by_the_service(team: Team) -> None:
    run = team.submit({"rate": 0.25}, run_id="first")
    team.end(run)
    again = nbstep.rerun(nbstep.find(run.handle), {"name": "b"}, run_id="again", options={"retries": 0})
    assert again.handle == f"{team.folder}/again"
    assert team.memory._run("memory://again").submission.profile.retries == 0
    places = RunPlaces.of(team.runs, "again")
    assert store_of(places.params, StorageOptions()).read(places.params).data == b"rate: 0.25\nname: b\n"
    with pytest.raises(UsageError, match="without another on"):
        nbstep.rerun(run, options={"on": "local"})


def test_a_run_is_run_again_by_the_profile_that_it_is_found_by_and_not_elsewhere(team: Team) -> None:
    run = team.submit({"rate": 0.25}, run_id="found")
    team.end(run)
    small = nbstep.profiles.overlaid(team.profile, {"resources": {"memory": "8Gi"}, "labels": {"kind": "trial"}})
    nbstep.rerun(run, profile=small, run_id="found-again", options={"retries": 0})
    submitted = team.memory._run("memory://found-again").submission.profile
    assert (submitted.resources.memory, submitted.retries, submitted.labels["kind"]) == ("8Gi", 0, "trial")
    other = nbstep.profiles.overlaid(team.profile, {"server": {"folder": "other"}})
    refused: list[tuple[dict[str, Any], str]] = [
        ({"profile": Profile()}, f"where it was, in {team.folder}"),
        ({"profile": other}, "where it was"),
        ({"notebook": "train.ipynb"}, "as it was: with its own notebook"),
        ({"resume": True, "profile": team.profile}, "as it was: .* from the beginning"),
    ]
    for options, message in refused:
        with pytest.raises(UsageError, match=message) as caught:
            nbstep.rerun(run, **options)
        assert "as a new run" in caught.value.hint
    assert {record.run_id for record in nbstep.history(team.runs)} == {"found", "found-again"}


def test_a_run_that_the_service_knows_no_more_is_told_and_stops_no_other(team: Team) -> None:
    run = team.submit()
    team.end(run)
    handle = f"{team.folder}/gone"
    gone = Run(handle, replace(run.located, run_id="gone", output_uri=f"{handle}/output.ipynb"), run.backend)
    for ask in (gone.status, lambda: gone.wait(120)):
        with pytest.raises(RunNotFoundError, match="there is no run 'gone'"):
            ask()

    async def both() -> tuple[Any, Any]:
        return await asyncio.gather(gone.wait_async(), run.wait_async(), return_exceptions=True)

    told, record = asyncio.run(both())
    assert (type(told), record.state) == (RunNotFoundError, RunState.SUCCEEDED)


def test_objects_are_read_and_never_written(team: Team) -> None:
    run = team.submit(run_id="r")
    team.end(run)
    output = RunPlaces.of(team.runs, "r").output
    store_of(output, StorageOptions()).write(output, Path("train.ipynb").read_bytes())
    assert run.notebook()["cells"][1]["source"] == "rate"
    stats = {stat.uri: stat.size for stat in run.store.list(f"{run.handle}/")}
    assert stats[run.output_uri] == Path("train.ipynb").stat().st_size
    assert run.store.stat(run.output_uri) is not None
    assert run.store.stat(sibling(run.output_uri, ".html")) is None
    prune = ["--older-than", "1d", "--runs", str(team.folder)]
    for change in (
        lambda: run.store.delete(run.output_uri),
        lambda: run.store.write(run.output_uri, b""),
        lambda: remove(run, dry_run=True),
        lambda: command.main(prune, standalone_mode=False),
    ):
        with pytest.raises(StorageDeniedError, match="which alone writes and removes"):
            change()


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"kernel": "ir"}, UsageError, "without kernel"),
        ({"allow_errors": True}, UsageError, "without allow_errors"),
        ({"unknown_parameters": "warn"}, UsageError, "without unknown_parameters"),
        ({"files": ["train.ipynb"]}, UsageError, "without files"),
        ({"requirements": ["click"]}, UsageError, "does not know how requirements come"),
        ({"runs": "memory://elsewhere"}, UsageError, "lie in its own folders, not in memory://elsewhere"),
        ({"params": {"rate": "no"}}, BadInputError, "rate: "),
        ({"resources": {"cpu": 2}}, ServiceDeniedError, "does not let a request set resources.cpu"),
        ({"options": {"server": {"profile": "none"}}}, UsageError, "team has no profile 'none'"),
        ({"options": {"server": {"folder": "none"}}}, RunNotFoundError, "there is no folder 'none'"),
        ({"labels": {"nbstep/submitted-by": "stranger"}}, UsageError, "none that a request may set"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_started(
    options: dict[str, Any], kind: type[Exception], message: str, team: Team
) -> None:
    with pytest.raises(kind, match=message):
        team.submit(**options)
    assert nbstep.history(team.runs) == []


def test_what_is_not_there_is_no_run(team: Team) -> None:
    for name in ("none", f"{team.folder}/none"):
        with pytest.raises(RunNotFoundError):
            nbstep.find(name, profile=team.profile)
    with pytest.raises(UsageError, match="is no run of a service"):
        nbstep.find(cast("str", team.folder), profile=team.profile)


def test_doctor_asks_the_service(team: Team) -> None:
    def started(_: Any) -> Run:
        raise AssertionError("nothing is started")

    findings = {each.name: each for each in check_up(team.profile, started, deep=False)}
    assert [each.remedy for each in findings.values()] == ["", ""]
    assert "shows the runs of team" in findings["server"].words


@pytest.mark.parametrize(
    ("error", "verdict", "remedy"),
    [(None, "succeeded in", ""), (CellFailedError("it raised", hint="Look."), "failed: it raised", "Look.")],
)
def test_the_small_run_of_doctor_stays_at_the_service(
    error: CellFailedError | None, verdict: str, remedy: str, team: Team
) -> None:
    def ended(prepared: Prepared) -> Run:
        run = start(prepared)
        team.end(run, error=error)
        return run

    (found,) = (each for each in check_up(team.profile, ended, deep=True) if each.name == "a small run")
    (record,) = nbstep.history(team.runs)
    assert verdict in found.words
    assert f"the run {record.run_id} stays at the service, which alone removes runs" in found.words
    assert found.remedy == remedy


def test_an_override_is_what_differs_from_a_plain_profile() -> None:
    assert overrides(Profile()) == {}
    profile = nbstep.profiles.overlaid(Profile(), {"on": "server", "server": "https://a.example", "image": "i:1"})
    assert overrides(profile) == {"image": "i:1"}
