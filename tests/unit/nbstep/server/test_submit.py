"""Runs started over HTTP: once each, with the server's profiles, and nobody else's files or Jobs."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

import nbstep
from nbstep import Run
from nbstep.backends.memory import MemoryBackend
from nbstep.backends.registry import backend_named
from nbstep.profiles.storage import store_of
from nbstep.submission.find import Submitted
from nbstep.submission.places import RunPlaces
from nbstep_runner.contract import InputFile, RunSpec, RunState, ServingOptions, StorageOptions, decode, encode
from support import memory_runs, notebooks
from support.service import Service

NO_TEXT = (
    b'--a\r\ncontent-disposition: form-data; name="request"\r\n\r\n\\ud800\r\n'
    b'--a\r\ncontent-disposition: form-data; name="notebook"; filename="a.ipynb"\r\n\r\nx\r\n--a--'
)
CELLS: list[str | notebooks.Code] = [notebooks.Code("alpha: float = 0.5", tags=("parameters",)), "alpha"]


class World:
    """A folder of runs, a place of notebooks, and the service of the two."""

    def __init__(self, folder: Path, **document: Any) -> None:
        self.runs = f"memory://{secrets.token_hex(4)}/runs"
        self.notebook = str(notebooks.write(folder / "notebooks/train.ipynb", CELLS))
        self.document: dict[str, Any] = {
            "folders": {"team": {"uri": self.runs, "profiles": ["small", "large"]}, "read": {"uri": f"{self.runs}-2"}},
            "notebooks": [str(folder / "notebooks")],
            "profiles": {"small": {"on": "memory"}, "large": {"on": "memory", "resources": {"memory": "8Gi"}}},
            **document,
        }
        self.service = self.of("submitter")

    def of(self, caller: str) -> Service:
        return Service.of(caller=caller, **self.document)

    def submit(self, key: str = "", service: Service | None = None, **body: Any) -> Any:
        headers = {"idempotency-key": key} if key else {}
        asked = {"notebook": self.notebook, **body}
        return (service or self.service).post("/v1/runs", json=asked, headers=headers)

    def run(self, run_id: str) -> Run:
        return cast("Run", nbstep.find(run_id, runs=self.runs))

    def places(self, run_id: str) -> RunPlaces:
        return RunPlaces.of(self.runs, run_id)

    def ids(self) -> list[str]:
        return sorted({uri.removeprefix(f"{self.runs}/").partition("/")[0] for uri in self.objects()})

    def objects(self) -> list[str]:
        return [stat.uri for stat in self.store.list(f"{self.runs}/")]

    @property
    def store(self) -> Any:
        return store_of(self.runs, StorageOptions())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def new_id() -> str:
    return f"train-{secrets.token_hex(4)}"


def memory() -> MemoryBackend:
    return cast("MemoryBackend", backend_named("memory"))


def test_a_named_notebook_is_run_with_the_servers_profile(world: World) -> None:
    answer = world.submit(parameters={"alpha": 0.9}, profile="large", labels={"team": "a"})
    told = answer.json()
    assert (answer.status_code, told["folder"]) == (202, "team")
    assert answer.headers["location"] == f"/v1/runs/{told['id']}?folder=team"
    assert world.service.get(answer.headers["location"]).json()["state"] == "pending"
    run = world.run(told["id"])
    spec = run.spec()
    assert spec.labels == {"team": "a", "nbstep/submitted-by": "submitter"}
    assert spec.html
    assert b"0.9" in world.store.read(world.places(run.id).params).data
    sent = decode(world.store.read(world.places(run.id).submission).data, Submitted)
    assert sent.profile["resources"]["memory"] == "8Gi"


def test_an_uploaded_notebook_is_run(world: World) -> None:
    content = json.dumps(notebooks.notebook([*CELLS, "2"])).encode()
    form = {"request": json.dumps({"parameters": {"alpha": 2}, "run_id": (run_id := new_id())})}
    files = {"notebook": ("../../etc/My Own.ipynb", content)}
    for _ in range(2):
        answer = world.service.post("/v1/runs", data=form, files=files)
        assert (answer.status_code, answer.json()["id"]) == (202, run_id)
    assert world.store.read(world.places(run_id).input).data == content
    other = {"notebook": ("a.ipynb", content.replace(b'"2"', b'"3"'))}
    assert world.service.post("/v1/runs", data=form, files=other).status_code == 409
    unnamed = world.service.post("/v1/runs", files=files).json()["id"]
    assert unnamed.startswith("my-own-")


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"parameters": {"alpha": "x"}}, 422, "alpha"),
        ({"parameters": {"beta": 1}}, 422, "beta"),
        ({"parameters": {"$number": "NaN"}}, 422, "$number"),
        ({"profile": "huge"}, 400, "huge"),
        ({"image": "evil"}, 422, "image"),
        ({"runs": "s3://other"}, 422, "runs"),
        ({"labels": {"kueue.x-k8s.io/queue-name": "theirs"}}, 400, "kueue"),
        ({"labels": {"nbstep/submitted-by": "reader"}}, 400, "submitted-by"),
        ({"run_id": "../other"}, 400, "../other"),
        ({"run_id": "latest.ipynb"}, 400, "latest.ipynb"),
        ({"notebook": "/etc/passwd"}, 403, "/etc/passwd"),
        ({"notebook": ""}, 400, "notebook"),
    ],
)
def test_what_cannot_be_run_is_refused_and_leaves_nothing(
    world: World, body: dict[str, Any], status: int, named: str
) -> None:
    answer = world.submit(key="" if "run_id" in body else "k", **body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert named in answer.json()["detail"]
    assert world.objects() == []
    if "run_id" not in body:
        assert world.submit(key="k").status_code == 202, "a request that was refused has taken the key"


def test_a_folder_without_profiles_is_to_be_read(world: World) -> None:
    answer = world.service.post("/v1/runs?folder=read", json={"notebook": world.notebook})
    assert (answer.status_code, answer.json()["reference"]) == (403, "forbidden")


@pytest.mark.parametrize("name", ["key", "run_id"])
@pytest.mark.fault(62)
def test_a_repeated_request_is_one_run_and_another_none(world: World, name: str) -> None:
    with_name: Any = {name: new_id()}
    first = world.submit(parameters={"alpha": 1}, **with_name)
    assert first.status_code == 202
    Path(world.notebook).unlink()  # the answer was lost, and the world has gone on
    again = world.submit(parameters={"alpha": 1}, **with_name)
    assert (again.status_code, again.headers["location"]) == (202, first.headers["location"])
    assert len(world.ids()) == 1
    other = world.submit(parameters={"alpha": 2}, **with_name)
    assert (other.status_code, other.json()["reference"]) == (409, "output-conflict")


def test_a_key_is_its_callers_own(world: World) -> None:
    ids = {world.submit(key="k", service=world.of(caller)).json()["id"] for caller in ("submitter", "reader")}
    assert len(ids) == 2
    run_id = new_id()
    assert world.submit(run_id=run_id).status_code == 202
    assert world.submit(run_id=run_id, service=world.of("reader")).status_code == 409


def test_a_request_that_broke_off_is_taken_up(world: World) -> None:
    run_id = world.submit(key="k").json()["id"]
    world.store.delete(world.places(run_id).submission)  # the server died before it had written that
    assert world.submit(key="k").json()["id"] == run_id
    assert world.store.stat(world.places(run_id).submission) is not None
    assert world.ids() == [run_id]


def test_requests_at_once_are_one_run(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        same = [pool.submit(world.submit, key="k") for _ in range(4)]
        assert {one.result().json()["id"] for one in same} == set(world.ids())
        differ = [pool.submit(world.submit, key="other", parameters={"alpha": number}) for number in range(4)]
        assert sorted(one.result().status_code for one in differ) == [202, 409, 409, 409]
    assert len(world.ids()) == 2


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "a\tb", "ä"])
def test_what_is_no_key(world: World, key: str) -> None:
    headers = {"idempotency-key": key.encode()}
    answer = world.service.post("/v1/runs", json={"notebook": world.notebook}, headers=headers)
    assert answer.status_code == 400
    assert world.submit(key="k", run_id=new_id()).status_code == 400


def test_the_id_of_a_run_that_somebody_else_started_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(world.notebook).parent)
    run = memory_runs.submit(runs=world.runs, run_id=new_id())
    before = sorted(world.objects())
    assert world.submit(run_id=run.id).status_code == 409
    assert sorted(world.objects()) == before


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 422),
        (b"[]", {}, 422),
        (b"\xff", {}, 422),
        (b"[" * 100_000, {}, 422),
        (b'{"notebook": "%s"}' % (b"x" * 2**20), {}, 413),
        (b"{}", {"content-encoding": "gzip"}, 415),
        (b"x", {"content-type": "multipart/form-data"}, 400),
        (b"x", {"content-type": "multipart/form-data; boundary=a"}, 400),
        (b'--a\r\ncontent-disposition: form-data; name="notebook"\r\n\r\nx\r\n--a--', "multipart", 422),
        (NO_TEXT, {"content-type": "multipart/form-data; charset=unicode_escape; boundary=a"}, 422),
        (b'--a\r\ncontent-disposition: form-data; name="request"\r\n\r\n{}\r\n--a--', "multipart", 422),
    ],
)
def test_bodies_that_are_none_are_problems(world: World, content: bytes, headers: Any, status: int) -> None:
    headers = {"content-type": "multipart/form-data; boundary=a"} if headers == "multipart" else headers
    answer = world.service.post("/v1/runs", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert world.objects() == []


def test_an_upload_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    world = World(tmp_path, limits={"upload_bytes": 2000, "body_bytes": 1000})
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        yield b'--a\r\ncontent-disposition: form-data; name="notebook"; filename="a.ipynb"\r\n\r\n'
        while True:
            sent += 500
            yield b"x" * 500

    headers = {"content-type": "multipart/form-data; boundary=a"}
    answer = world.service.post("/v1/runs", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["reference"]) == (413, "too-large")
    assert sent <= 5000


def test_a_run_is_asked_to_end(world: World) -> None:
    run_id = world.submit().json()["id"]
    memory().begin(world.run(run_id).handle)
    for _ in range(2):
        assert world.service.post(f"/v1/runs/{run_id}/cancel").status_code == 202
    assert world.service.get(f"/v1/runs/{run_id}").json()["state"] == "cancelled"
    assert world.service.post("/v1/runs/nobodys/cancel").status_code == 404
    assert world.service.get(f"/v1/runs/{run_id}/cancel").status_code == 405


@pytest.mark.parametrize("forged", [True, False])
@pytest.mark.fault(62)
def test_no_folder_aims_a_cancel_at_another_folders_run(
    world: World, monkeypatch: pytest.MonkeyPatch, *, forged: bool
) -> None:
    monkeypatch.chdir(Path(world.notebook).parent)
    victim = memory_runs.submit()
    memory().begin(victim.handle)
    run_id = new_id() if forged else victim.id
    submitted = Submitted(handle=victim.handle, on="memory", submitted_at="")
    world.store.write(world.places(run_id).submission, encode(submitted))
    answer = world.service.post(f"/v1/runs/{run_id}/cancel")
    assert answer.status_code == 409
    assert victim.state is RunState.RUNNING


def test_a_run_is_run_again_with_the_servers_own_profile(world: World) -> None:
    run_id = world.submit(parameters={"alpha": 0.9}).json()["id"]
    place = world.places(run_id).submission
    sent = decode(world.store.read(place).data, Submitted)
    aimed = {**sent.profile, "on": "kubernetes", "image": "evil", "kubernetes": {"namespace": "theirs"}}
    world.store.write(place, encode(Submitted(handle=sent.handle, on="memory", submitted_at="", profile=aimed)))
    answer = world.service.post(
        f"/v1/runs/{run_id}/rerun", json={"parameters": {"alpha": 0.1}}, headers={"idempotency-key": "k"}
    )
    assert answer.status_code == 202
    again = world.run(answer.json()["id"])
    assert again.backend is memory()
    assert again.spec().labels == {"nbstep/submitted-by": "submitter"}
    assert b"0.1" in world.store.read(world.places(again.id).params).data
    repeated = world.service.post(
        f"/v1/runs/{run_id}/rerun", json={"parameters": {"alpha": 0.1}}, headers={"idempotency-key": "k"}
    )
    assert repeated.json() == answer.json()
    assert world.service.post(f"/v1/runs/{run_id}/rerun", json={"profile": "huge"}).status_code == 400
    assert world.service.post(f"/v1/runs/{run_id}/rerun", json={"notebook": "/etc/passwd"}).status_code == 422
    assert world.service.post(f"/v1/runs/{run_id}/rerun").status_code == 202


def local(tmp_path: Path) -> tuple[World, Path]:
    """A world whose runs lie on this machine, and the folder of one that was made by hand."""
    world = World(tmp_path)
    folder = tmp_path / "runs"
    world.document["folders"]["team"] = {"uri": str(folder), "profiles": ["small"]}
    world.service = world.of("submitter")
    places = RunPlaces.of(str(folder), "made")
    notebooks.write(Path(places.input), ["1"])
    Path(places.params).write_text("{}")
    Path(places.submission).write_bytes(encode(Submitted(handle="memory://made", on="memory", submitted_at="")))
    (tmp_path / "secret").write_text("{}")
    return world, Path(places.folder)


@pytest.mark.parametrize("path", ["../../../secret", "/etc/hostname", "link"])
def test_a_run_that_names_files_of_others_is_not_run_again(tmp_path: Path, path: str) -> None:
    world, folder = local(tmp_path)
    spec = RunSpec(run_id="made", input_uri="", output_uri="", files=(InputFile(path=path, uri="", checksum=""),))
    (folder / "spec.json").write_bytes(encode(spec))
    (folder / "files").mkdir()
    (folder / "files/link").symlink_to(tmp_path / "secret")
    assert world.service.post("/v1/runs/made/rerun").status_code == 409
    assert sorted(each.name for each in folder.parent.iterdir()) == ["made"]


@pytest.mark.parametrize("name", ["input.ipynb", "params.yaml", "spec.json"])
def test_a_run_whose_objects_are_links_is_not_run_again(tmp_path: Path, name: str) -> None:
    world, folder = local(tmp_path)
    (folder / "spec.json").write_bytes(encode(RunSpec(run_id="made", input_uri="", output_uri="")))
    target = (folder / name).rename(folder.parent / name)  # another run of the same folder could be meant
    (folder / name).symlink_to(target)
    assert world.service.post("/v1/runs/made/rerun").status_code == 409


def test_an_endpoint_is_not_run_again(tmp_path: Path) -> None:
    world, folder = local(tmp_path)
    spec = RunSpec(run_id="made", input_uri="", output_uri="", serving=ServingOptions())
    (folder / "spec.json").write_bytes(encode(spec))
    assert world.service.post("/v1/runs/made/rerun").status_code == 409


def test_what_is_gone_cannot_be_run_again(tmp_path: Path) -> None:
    world, _ = local(tmp_path)
    assert world.service.post("/v1/runs/made/rerun").status_code == 404
