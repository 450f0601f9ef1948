"""A backend of another distribution: found by its name and by its handles, and asked what its runs can reach."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import nbstep
from nbstep import Profile
from nbstep.api import start
from nbstep.backends.registry import BACKENDS, backend_named, names
from nbstep.backends.stores import folder_of_runs, named_runs
from nbstep.cli.run import command
from nbstep.endpoints.api import planned, planned_text
from nbstep.endpoints.host import host_named
from nbstep.profiles.exposure import Exposure
from nbstep.profiles.kubernetes import KubernetesOptions, VolumeClaim
from nbstep.runs.run import Run
from nbstep.server.config import Config, Folder
from nbstep.server.team.manifest import manifests
from nbstep.steps import endpoint_step
from nbstep.submission.checkup import check_up
from nbstep.submission.request import Prepared, Request, prepare
from nbstep_runner.contract import ParameterSource, RunState
from nbstep_runner.errors import UsageError
from support import notebooks
from support.notebooks import Code

MODULE = '''
"""A grid of machines that have every volume claim below /grid, and their own way to stores."""

from contextlib import contextmanager
from dataclasses import replace

from nbstep.backends.memory import MemoryBackend
from nbstep.backends.protocol import Phase, Plan, Status
from nbstep.backends.reach import Packages, Reach
from nbstep.endpoints.host import Host
from nbstep.profiles.volume_claims import mapped


class Grid(MemoryBackend):
    """Its handles have another name than the backend."""

    scheme = "queue"

    def reach(self, profile):
        return Reach(
            translate=lambda value: mapped(value, lambda claim, path: f"/grid/{claim}{path}"),
            storage=replace(profile.storage, **profile.options.get("storage", {})),
            local_files=False,
            packages=Packages.PUBLISHED,
            claimed=lambda path: f"pvc://{path[6:]}" if path.startswith("/grid/") else path,
        )

    def sweep_workers(self, jobs):
        return jobs or 1, 1

    def default_runs(self, profile):
        return "memory://grid/all"

    endpoints = "nbstep_grid:GridHost"

    def rights(self, profile):
        return "farm", ({"apiGroups": ["grid"], "resources": ["tasks"], "verbs": ["create"]},)

    @contextmanager
    def attached(self, profile, arguments, folders):
        yield Watched([profile.image, *arguments, *folders])


class Watched:
    def __init__(self, told):
        self.told = told

    def lines(self):
        yield " ".join(self.told).encode()

    def send(self, number):
        pass

    def status(self):
        return Status(phase=Phase.ENDED, exit_code=10)


class GridHost(Host):
    def listens(self, profile, port):
        return "grid.test", port

    def plan(self, deployment):
        return Plan(handle=f"queue://{deployment.name}", body=None, text=deployment.submission.spec.serving.host)


class Bench(MemoryBackend):
    """This machine under another name: what it starts are processes here."""

    scheme = "bench"
    here = True


class Silent:
    """As little as the protocol asks for."""

    scheme = "silent"
'''


@pytest.fixture(autouse=True)
def _other_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    site = tmp_path / "site"
    info = site / "nbstep_grid-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nbstep-grid\nVersion: 1.0\n")
    lines = [f"{each.lower()} = nbstep_grid:{each}\n" for each in ("Grid", "Bench", "Silent")]
    (info / "entry_points.txt").write_text("[nbstep.backends]\n" + "".join(lines))
    (site / "nbstep_grid.py").write_text(MODULE)
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    notebooks.write(Path("train.ipynb"), [Code("table: str = ''", tags=("parameters",))])
    backend_named.cache_clear()  # what was not there a moment ago is there now
    yield
    backend_named.cache_clear()


def test_it_is_one_of_the_backends() -> None:
    assert names() == ["local", "docker", "kubernetes", "server", "memory", "grid", "bench", "silent"]
    with pytest.raises(UsageError, match="no backend 'barn'") as caught:
        backend_named("barn")
    assert "grid" in caught.value.hint


def test_no_name_of_ours_decides_anything_outside_of_its_room() -> None:
    root = Path(nbstep.__file__).parent
    deciding = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        if not file.is_relative_to(root / "backends")
        for node in ast.walk(ast.parse(file.read_text()))
        for each in compared_in(node)
        if isinstance(each, ast.Constant) and each.value in BACKENDS
    }
    assert deciding == {"images/builders.py"}, "where docker is a program that builds"


def compared_in(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.MatchValue):
        return [node.value]
    sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
    return [each for side in sides for each in (side.elts if isinstance(side, ast.Tuple | ast.Set) else [side])]


def test_a_run_of_it_goes_its_whole_way() -> None:
    run = nbstep.submit("train.ipynb", on="grid", runs="memory://grid/runs")
    assert run.handle == f"queue://{run.id}"
    assert nbstep.find(run.handle).state is nbstep.find(run.id, runs="memory://grid/runs").state is RunState.PENDING
    run.cancel()
    assert run.wait(check=False).state is RunState.CANCELLED


def test_runs_of_a_backend_that_is_not_here_are_not_taken_for_those_of_this_machine() -> None:
    profile = Profile(on="barn")
    for told in (named_runs, folder_of_runs):
        with pytest.raises(UsageError, match="no backend 'barn'"):
            told(profile)


def test_a_handle_of_nobody_is_refused_in_words() -> None:
    with pytest.raises(UsageError, match="no backend knows runs such as elsewhere://r"):
        nbstep.find("elsewhere://r")


def test_it_says_what_its_runs_reach() -> None:
    profile = Profile(
        on="grid",
        runs="pvc://shared/runs",
        kubernetes=KubernetesOptions(claims={"shared": VolumeClaim(here="/mnt/shared")}),
        options={"storage": {"known_hosts": "/grid/known_hosts"}},
    )
    source = ParameterSource.values({"table": "pvc://data/table.csv"})
    prepared = prepare(Request(notebook="train.ipynb", profile=profile, sources=(source,), run_id="r"))
    spec = prepared.submission.spec
    assert prepared.places.output == "/mnt/shared/runs/r/output.ipynb"
    assert spec.output_uri == "/grid/shared/runs/r/output.ipynb"
    assert (prepared.storage.known_hosts, spec.storage.known_hosts) == (None, "/grid/known_hosts")
    assert prepared.submission.claims == ("shared", "data")
    parameters = dict(prepared.uploads)[prepared.places.params]
    assert isinstance(parameters, bytes)
    assert b"/grid/data/table.csv" in parameters
    with pytest.raises(UsageError, match="cannot reach"):
        prepare(Request(notebook="train.ipynb", profile=Profile(on="grid", runs="runs")))


def test_its_images_are_published() -> None:
    profile = Profile(on="grid", runs="memory://grid", image="base:1")
    with pytest.raises(UsageError, match="an image that is pushed needs the name of a repository"):
        prepare(Request(notebook="train.ipynb", profile=profile, requirements=["humanize==4.9.0"]))


def test_one_that_says_nothing_of_its_reach_sees_what_this_machine_sees() -> None:
    prepared = prepare(Request(notebook="train.ipynb", profile=Profile(on="silent", runs="runs"), run_id="r"))
    assert prepared.submission.spec.output_uri == prepared.places.output == str(Path("runs/r/output.ipynb").absolute())
    with pytest.raises(UsageError, match="does not know how requirements come to runs of the backend 'silent'"):
        prepare(Request(notebook="train.ipynb", profile=Profile(on="silent"), requirements=["click"]))


def test_one_that_has_a_folder_for_runs_names_it_where_nobody_else_does() -> None:
    run = nbstep.submit("train.ipynb", on="grid")
    assert run.output_uri == f"memory://grid/all/{run.id}/output.ipynb"
    assert nbstep.find(run.id, profile=Profile(on="grid")).handle == run.handle
    assert folder_of_runs(Profile(on="grid", runs="memory://elsewhere")) == "memory://elsewhere"
    assert folder_of_runs(Profile(on="bench")) == str(Path("nbstep-runs").absolute())


def test_an_endpoint_of_a_step_takes_of_it_a_folder_and_where_claims_are() -> None:
    claims = KubernetesOptions(claims={"shared": VolumeClaim(here="/mnt/shared")})
    for on, runs, where in (("grid", "memory://grid/all", "/pvc/shared"), ("bench", None, "/mnt/shared")):
        served = endpoint_step("train.ipynb", image="i", profile=Profile(on=on, kubernetes=claims)).served
        assert served is not None
        assert (served.profile.runs, served.profile.kubernetes.claims["shared"].here) == (runs, where)


def test_it_serves_notebooks_and_says_where_they_listen() -> None:
    host_named.cache_clear()
    profile = Profile(on="grid", runs="memory://grid")
    deployment = planned(Request(notebook="train.ipynb", profile=profile), "model", {}, Exposure(port=80))
    assert planned_text(deployment) == "grid.test"
    with pytest.raises(UsageError, match="nothing can be served on 'bench'") as caught:
        host_named("bench")
    assert caught.value.hint == "It is one of local, docker, kubernetes, grid."
    with pytest.raises(UsageError, match="nothing can be served on 'barn'"):
        host_named("barn")


def test_it_runs_the_command_line_that_is_watched_from_here() -> None:
    typed = ["--on", "grid", "--image", "i", "--mount", "/data", "--log-format", "json", "a.ipynb", "b.ipynb"]
    ended = CliRunner().invoke(command, typed, standalone_mode=False)
    assert (ended.return_value, ended.stdout) == (10, "i a.ipynb b.ipynb --log-format json /data\n")
    silent = CliRunner().invoke(command, ["--on", "silent", "a.ipynb", "b.ipynb"], standalone_mode=False)
    assert "the backend 'silent' runs no notebook that is watched from here" in str(silent.exception)
    bench = CliRunner().invoke(command, ["--on", "bench", "--cpu", "1", "a.ipynb"], standalone_mode=False)
    assert str(bench.exception) == "--cpu goes with --on docker."


def test_a_service_of_a_cluster_gets_the_rights_that_it_names() -> None:
    profiles = {"grid": Profile(on="grid"), "bench": Profile(on="bench")}
    folders = {"all": Folder(uri="memory://runs", profiles=("grid", "bench"), namespace="team")}
    objects = manifests(Config(folders=folders, profiles=profiles), "")
    roles = {each["metadata"]["namespace"]: each["rules"] for each in objects if each["kind"] == "Role"}
    assert roles == {"farm": [{"apiGroups": ["grid"], "resources": ["tasks"], "verbs": ["create"]}]}


def test_whoever_asks_for_a_sweep_of_one_that_is_here_makes_its_runs() -> None:
    with pytest.raises(UsageError, match="image says nothing for a sweep on this machine"):
        nbstep.sweep("train.ipynb", output="out", grid={"table": ["a"]}, on="bench", image="i")
    with pytest.raises(UsageError, match="the backend 'silent' starts no sweeps"):
        nbstep.sweep("train.ipynb", output="out", grid={"table": ["a"]}, on="silent")


def test_the_doctor_makes_a_small_run_unasked_where_one_is_as_cheap_as_a_call() -> None:
    def ended(prepared: Prepared) -> Run:
        run = start(prepared)
        bench: Any = run.backend
        bench.end(run.handle)
        return run

    for on in ("grid", "bench"):
        found = check_up(Profile(on=on, runs="memory://doctor"), ended, deep=False)
        assert ("a small run" in [each.name for each in found]) is (on == "bench")


def test_a_sweep_of_it_on_a_claim_is_found_where_this_machine_has_the_claim(tmp_path: Path) -> None:
    claims = KubernetesOptions(claims={"shared": VolumeClaim(here=str(tmp_path / "shared"))})
    profile = Profile(on="grid", kubernetes=claims)
    started: Any = nbstep.sweep(
        "train.ipynb", output="pvc://shared/lr", grid={"table": ["a", "b"]}, profile=profile, wait=False
    )
    found: Any = nbstep.find(started.handle, profile=profile)
    assert found.backend.locate(started.handle).spec_uri == f"/grid/shared/lr/{started.id}/sweep.json"
    assert (found.output, len(found.plan.specs)) == (str(tmp_path / "shared/lr"), 2)
