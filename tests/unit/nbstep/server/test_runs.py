"""What the service tells of runs, of those of its folders alone."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nbstep import Run
from nbstep.backends.memory import MemoryBackend
from nbstep.profiles.storage import store_of
from nbstep.server.objects import LARGE_BYTES, LARGE_READ_AT_ONCE
from nbstep.submission.find import Submitted
from nbstep_runner.contract import Claim, CollectedFile, RunResult, RunSpec, RunState, StorageOptions, decode, encode
from nbstep_runner.errors import CellFailedError, StorageDeniedError, StorageUnavailableError
from nbstep_runner.stores import join, redact
from support import memory_runs
from support.service import Service

MEMORY: dict[str, Any] = {"on": "memory"}
CLAIM = Claim(token="t", host="h", pid=1, pid_started=1, heartbeat_at="2026-01-01T00:00:00", lease_seconds=30.0)  # noqa: S106 - no secret


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return f"memory://{secrets.token_hex(4)}/runs"


@pytest.fixture
def run_id() -> str:
    """An id of this test alone: the memory backend is one for the whole process."""
    return f"train-{secrets.token_hex(4)}"


def service_of(uri: str, **further: Any) -> Service:
    folder = {"uri": uri, "profiles": ["small"]}
    return Service.of(folders={"team": folder, **further}, profiles={"small": MEMORY})


def put(folder: Path, run_id: str, number: int = 1, **members: Any) -> Path:
    """A run's record, written at a time of its own."""
    output = folder / run_id / "output.ipynb"
    spec = RunSpec(run_id=run_id, input_uri="in.ipynb", output_uri=str(output))
    record = replace(RunResult.blank(spec, redact), **{"state": RunState.SUCCEEDED, "exit_code": 0, **members})
    output.parent.mkdir(parents=True, exist_ok=True)
    file = output.with_name("output.result.json")
    file.write_bytes(encode(record))
    os.utime(file, (number, number))
    return file


def test_a_handle_that_an_older_version_stored_is_of_the_same_run(
    uri: str, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = memory_runs.submit(runs=uri, run_id=run_id)
    memory_runs.backend_of(run).begin(run.handle)
    whole = {f"memory://old/{run_id}": run.handle}
    monkeypatch.setattr(MemoryBackend, "full_handle", lambda _, handle: whole.get(handle, handle), raising=False)
    place = join(uri, f"{run_id}/submission.json")
    store = store_of(place, StorageOptions())
    submitted = decode(store.read(place).data, Submitted)
    store.write(place, encode(msgspec.structs.replace(submitted, handle=f"memory://old/{run_id}")))
    assert service_of(uri).get(f"/v1/runs/{run_id}").json()["state"] == "running"


def test_a_run_is_told_as_its_place_and_record_know_it(uri: str, run_id: str) -> None:
    run = memory_runs.submit(runs=uri, run_id=run_id, labels={"team": "a"})
    service = service_of(uri)
    assert service.get(f"/v1/runs/{run_id}").json()["state"] == "pending"
    memory_runs.backend_of(run).begin(run.handle)
    assert service.get(f"/v1/runs/{run_id}").json()["state"] == "running"
    memory_runs.backend_of(run).end(run.handle, results={"rmse": 0.5, "loss": float("nan")})
    told = service.get(f"/v1/runs/{run_id}?folder=team").json()
    assert (told["state"], told["exit_code"], told["results"]["rmse"]) == ("succeeded", 0, 0.5)
    assert told["labels"] == {"team": "a"}
    assert [each["name"] for each in told["objects"]] == ["output.result.json"]
    (listed,) = service.get("/v1/runs").json()["runs"]
    assert {name: told[name] for name in listed} == listed


def test_pages_of_a_list_hold_each_run_once(tmp_path: Path) -> None:
    for number in range(7):
        put(tmp_path, f"r-{number}", number)
    service, seen, cursor = service_of(str(tmp_path)), [], ""
    for _ in range(4):
        page = service.get("/v1/runs", params={"limit": 2, "cursor": cursor}).json()
        seen += [run["id"] for run in page["runs"]]
        cursor = page["next"]
        put(tmp_path, f"new-{len(seen)}", 100 + len(seen))  # what comes meanwhile moves nothing
    assert seen == [f"r-{number}" for number in reversed(range(7))]
    assert cursor is None


def test_runs_of_one_time_are_told_apart_by_a_cursor(tmp_path: Path) -> None:
    for number in range(5):
        put(tmp_path, f"r-{number}", 1)
    service = service_of(str(tmp_path))
    first = service.get("/v1/runs?limit=3").json()
    second = service.get("/v1/runs", params={"cursor": first["next"]}).json()
    assert sorted(run["id"] for run in (*first["runs"], *second["runs"])) == [f"r-{number}" for number in range(5)]


def test_filters(tmp_path: Path) -> None:
    put(tmp_path, "train-1", labels={"team": "a"}, started_at="2026-01-01T00:00:00+00:00")
    put(tmp_path, "train-2", state=RunState.FAILED, labels={"team": "a", "x": "1"}, started_at="2026-02-01T00:00:00Z")
    put(tmp_path, "report-1", labels={"team": "b"})
    service = service_of(str(tmp_path))

    def ids(query: str) -> list[str]:
        return sorted(run["id"] for run in service.get(f"/v1/runs?{query}").json()["runs"])

    assert ids("state=failed") == ["train-2"]
    assert ids("notebook=train") == ["train-1", "train-2"]
    assert ids("label=team%3Da") == ["train-1", "train-2"]
    assert ids("label=team%3Da&label=x%3D1") == ["train-2"]
    assert ids("since=2026-01-15T00:00:00Z") == ["train-2"]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "members",
    [
        {"started_at": "0001-01-01T00:00:00+14:00"},
        {"started_at": "9999-12-31T23:59:59-14:00"},
        {"started_at": "noon"},
        {"parameters": {"x": nested(900)}},
        {"parameters": {"x": "y" * 10**6}},
        {"state": RunState.RUNNING, "exit_code": None, "claim": CLAIM},
        {"state": RunState.RUNNING, "exit_code": None, "claim": replace(CLAIM, heartbeat_at="noon")},
        {"state": RunState.RUNNING, "exit_code": None, "claim": replace(CLAIM, heartbeat_at="0001-01-01T00:00+14:00")},
    ],
)
def test_no_damaged_record_keeps_other_runs_from_being_told(tmp_path: Path, members: dict[str, Any]) -> None:
    put(tmp_path, "good", 1)
    put(tmp_path, "damaged", 2, **members)
    service = service_of(str(tmp_path))
    for query in ("", "?since=0001-01-01T00:00:00%2B14:00", "?since=2026-01-01T00:00:00"):
        for path in ("/v1/runs", "/"):
            answer = service.get(f"{path}{query}", headers={"accept": "text/html"})
            assert answer.status_code == 200
            assert len(answer.content) < 100_000
    told = {run["id"]: run for run in service.get("/v1/runs").json()["runs"]}
    assert set(told) <= {"good", "damaged"}
    assert told["good"]["whole"]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "limit=x", "cursor=x", "cursor=W10", "cursor=%00"),
        *("state=done", "state=null", "since=noon", "since=null", "other=1", "&".join(["label=a=b"] * 21)),
    ],
)
def test_a_query_that_fits_nothing_is_told(tmp_path: Path, query: str) -> None:
    answer = service_of(str(tmp_path)).get(f"/v1/runs?{query}")
    assert (answer.status_code, answer.json()["reference"]) == (400, "usage")


def test_a_page_reads_a_bounded_number_of_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nbstep.server.index.FRESH_SECONDS", -1.0)  # runs under way are read for each page
    for number in range(10):
        put(tmp_path, f"r-{number}", number, state=RunState.RUNNING if number else RunState.FAILED)
    service = Service.of(folders={"team": {"uri": str(tmp_path)}}, limits={"records": 4})
    pages, cursor = [], ""
    while cursor is not None:
        page = service.get("/v1/runs", params={"state": "failed", "cursor": cursor}).json()
        pages.append([run["id"] for run in page["runs"]])
        cursor = page["next"]
    assert pages == [[], [], ["r-0"]]


def test_a_list_names_runs_by_their_folders_and_only_those_that_are_found_by_it(tmp_path: Path) -> None:
    put(tmp_path, "mine").write_bytes(put(tmp_path, "other").read_bytes())
    (tmp_path / "report.result.json").write_bytes(put(tmp_path, "other").read_bytes())
    (tmp_path / "Upper").mkdir()
    (tmp_path / "Upper/output.result.json").write_bytes(put(tmp_path, "other").read_bytes())
    ids = [run["id"] for run in service_of(str(tmp_path)).get("/v1/runs").json()["runs"]]
    assert sorted(ids) == ["mine", "other"]


@pytest.mark.parametrize(
    "name",
    ["latest", "trai", "train-1.ipynb", "..", "%2e%2e", "memory:%2F%2Ftrain-1", "s3:%2F%2Fbucket%2Fx.ipynb", "Train-1"],
)
def test_a_run_is_looked_up_by_its_exact_id_alone(uri: str, run_id: str, name: str) -> None:
    memory_runs.submit(runs=uri, run_id=run_id)
    answer = service_of(uri).get(f"/v1/runs/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_folders_are_apart(uri: str, run_id: str, tmp_path: Path) -> None:
    memory_runs.submit(runs=uri, run_id=run_id)
    put(tmp_path, "theirs")
    service = service_of(uri, other={"uri": str(tmp_path)})
    assert service.get("/v1/runs/theirs").status_code == 404
    assert service.get(f"/v1/runs/{run_id}?folder=other").status_code == 404
    assert service.get("/v1/runs/theirs?folder=other").json()["folder"] == "other"
    assert service.get("/v1/runs?folder=nobodys").status_code == 404


def aim(run: Run, folder: str, run_id: str) -> None:
    """Write into a run's folder that it is another run."""
    place = join(join(folder, run_id), "submission.json")
    submitted = Submitted(handle=run.handle, on="memory", submitted_at="")
    store_of(place, StorageOptions()).write(place, encode(submitted))


@pytest.mark.parametrize("forged", ["forged", ""])
def test_a_folder_that_names_another_folders_run_is_not_believed(uri: str, forged: str) -> None:
    """Whoever may write in a folder must not read or end the runs of others by the server's rights."""
    victim = memory_runs.submit(runs=f"{uri}-theirs")
    memory_runs.backend_of(victim).begin(victim.handle)
    run_id = forged or victim.id
    aim(victim, uri, run_id)
    told = service_of(uri).get(f"/v1/runs/{run_id}").json()
    assert told["state"] == "pending", "what the place says of the other run is told of this one"
    assert victim.state is RunState.RUNNING


def test_a_run_of_somebody_elses_place_is_never_called_lost(uri: str, run_id: str) -> None:
    run = memory_runs.submit(runs=uri, run_id=run_id)
    service = Service.of(folders={"team": {"uri": uri}})  # no profile: the server knows no place of these runs
    for _ in range(2):
        assert service.get(f"/v1/runs/{run_id}").json()["state"] == "pending"
    assert run.record() is None, "the server has settled what it knows nothing of"
    memory_runs.backend_of(run).end(run.handle, error=CellFailedError("x"))
    told = service.get(f"/v1/runs/{run_id}").json()
    assert (told["state"], told["error"]["reference"]) == ("failed", "cell-failed")


def test_an_object_is_sent_as_what_it_is_and_can_do_nothing(tmp_path: Path) -> None:
    put(tmp_path, "train-1")
    (tmp_path / "train-1/output.html").write_text("<script>alert(1)</script>")
    (tmp_path / "train-1/output.ipynb").write_text("{}")
    service = service_of(str(tmp_path))
    page = service.get("/v1/runs/train-1/objects/output.html")
    assert page.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    notebook = service.get("/v1/runs/train-1/objects/output.ipynb")
    assert notebook.headers["content-disposition"].startswith("attachment")
    for answer in (page, notebook):
        assert answer.headers["x-content-type-options"] == "nosniff"
    names = [each["name"] for each in service.get("/v1/runs/train-1").json()["objects"]]
    assert names == ["output.ipynb", "output.result.json", "output.html"]


@pytest.mark.parametrize(
    "name",
    [
        *("secret.txt", "submission.json", "output.log.jsonl", "output.files/other.csv", "output.files", ""),
        *("../other/output.result.json", "%2e%2e/other/output.result.json", "output.files/../submission.json"),
    ],
)
def test_only_what_every_run_has_and_its_record_names_is_sent(tmp_path: Path, name: str) -> None:
    for run_id in ("train-1", "other"):
        put(tmp_path, run_id)
        for file in ("secret.txt", "submission.json", "output.files/other.csv"):
            (tmp_path / run_id / file).parent.mkdir(exist_ok=True)
            (tmp_path / run_id / file).write_text('{"handle": "x", "on": "x", "submitted_at": ""}')
    answer = service_of(str(tmp_path)).get(f"http://localhost/v1/runs/train-1/objects/{name}")
    assert answer.status_code == 404


def collected(path: str, data: bytes) -> CollectedFile:
    return CollectedFile(path=path, size=len(data), checksum=f"sha256:{hashlib.sha256(data).hexdigest()}")


def test_files_that_came_back_are_sent_as_the_record_names_them(tmp_path: Path) -> None:
    files = [
        collected(path, b"a") for path in ("deep/ä b.csv", "gone.csv", "../../other.csv", "link.csv", "changed.csv")
    ]
    put(tmp_path / "runs", "train-1", files=tuple(files))
    folder = tmp_path / "runs/train-1/output.files"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/ä b.csv").write_bytes(b"a")
    (folder / "changed.csv").write_bytes(b"b")
    (tmp_path / "runs/other.csv").write_bytes(b"a")
    (folder / "link.csv").symlink_to(tmp_path / "runs/other.csv")
    service = service_of(str(tmp_path / "runs"))

    def status(path: str) -> int:
        return service.get(f"/v1/runs/train-1/objects/output.files/{path}").status_code

    assert status("deep/ä b.csv") == 200
    assert [status(path) for path in ("gone.csv", "%2e%2e/%2e%2e/other.csv", "link.csv")] == [404, 404, 404]
    assert status("changed.csv") == 409


@pytest.mark.parametrize("size", [0, LARGE_BYTES, LARGE_BYTES + 1, 3 * LARGE_BYTES])
def test_objects_of_any_size_come_whole(tmp_path: Path, size: int) -> None:
    put(tmp_path, "train-1")
    content = secrets.token_bytes(size)
    (tmp_path / "train-1/output.ipynb").write_bytes(content)
    service = service_of(str(tmp_path))
    for _ in range(LARGE_READ_AT_ONCE + 1):
        answer = service.get("/v1/runs/train-1/objects/output.ipynb")
        assert (answer.content, answer.headers["content-length"]) == (content, str(size))
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_object_larger_than_is_sent_is_refused_unread(tmp_path: Path) -> None:
    put(tmp_path, "train-1")
    service = Service.of(folders={"team": {"uri": str(tmp_path)}}, limits={"object_bytes": 10})
    answer = service.get("/v1/runs/train-1/objects/output.result.json")
    assert (answer.status_code, answer.json()["reference"]) == (413, "too-large")


@pytest.mark.parametrize(
    ("error", "status"), [(StorageDeniedError("no"), 502), (StorageUnavailableError("away"), 503), (OSError("x"), 500)]
)
def test_a_store_that_fails_is_told_as_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(type(store_of(str(tmp_path), StorageOptions())), "read", fail)
    answer = service_of(str(tmp_path)).get("/v1/runs/train-1")
    assert answer.status_code == status
    assert answer.json()["reference"] == getattr(error, "reference", "internal")
    assert ("retry-after" in answer.headers) == (status == 503)


def test_paths_that_are_none_are_problems_too(tmp_path: Path) -> None:
    service = service_of(str(tmp_path))
    for method, path, status in (("GET", "/v2", 404), ("DELETE", "/v1/runs", 405)):
        answer = service.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_the_record_sent_is_the_record(uri: str, run_id: str) -> None:
    run = memory_runs.submit(runs=uri, run_id=run_id)
    memory_runs.backend_of(run).end(run.handle, results={"x": 1})
    sent = service_of(uri).get(f"/v1/runs/{run_id}/objects/output.result.json").content
    assert decode(sent, RunResult) == run.record()
