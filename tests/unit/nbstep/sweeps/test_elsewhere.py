"""A sweep as it is sent to a cluster or a daemon, and as whoever finds it sees it, by its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from nbstep.backends.protocol import Located, Phase, Plan, Status, Submission
from nbstep.errors import ClusterUnavailableError, WaitTimeoutError
from nbstep.profiles import load_profile
from nbstep.profiles.storage import store_of
from nbstep.runs.run import Run
from nbstep.submission.upload import upload
from nbstep.sweeps.api import sweep
from nbstep.sweeps.elsewhere import PlacedSweep, place
from nbstep.sweeps.live import drawn
from nbstep.sweeps.plan import SweepRequest
from nbstep.sweeps.sets import combine, typed_axis
from nbstep.sweeps.start import planned
from nbstep.sweeps.submitted import SubmittedSweep
from nbstep_runner.contract import Claim, ErrorInfo, RunResult, RunState, StorageOptions, encode, spec_digest
from nbstep_runner.errors import (
    BadInputError,
    CellFailedError,
    OutputConflictError,
    StorageUnavailableError,
    TerminatedError,
    UsageError,
)
from nbstep_runner.stores.memory import MemoryStore
from support import notebooks
from support.manifests import known_to_kubernetes, violations
from support.notebooks import Code

CLUSTER = {
    "on": "kubernetes",
    "image": "example.org/nbstep:1",
    "retries": 3,
    "kubernetes": {"context": "c", "namespace": "flights"},
}


def placed(folder: Path, *grid: str, output: str = "memory://bucket/depth", **how: Any) -> PlacedSweep:
    notebook = notebooks.write(folder / "in.ipynb", [Code("n: int = 1\nlr: float = 0.1", tags=("parameters",)), "n"])
    profile = load_profile(None, how.pop("profile", CLUSTER))
    more = {name: how.pop(name) for name in ("per_worker", "files") if name in how}
    request = SweepRequest(
        notebook=str(notebook),
        sets=combine([typed_axis(text) for text in grid], []),
        output=output,
        storage=profile.storage,
        **how,
    )
    return place(request, profile, **more)


def manifest(sweep: PlacedSweep) -> dict[str, Any]:
    return dict(yaml.safe_load(planned(sweep).text))


def test_a_sweep_is_one_indexed_job(tmp_path: Path) -> None:
    sweep = placed(tmp_path, "n=1,2,3,4,5", jobs=8, per_worker=2)
    job = manifest(sweep)
    name = sweep.places.name
    assert name.startswith("depth-")
    assert job["metadata"]["name"] == name
    assert (job["spec"]["completionMode"], job["spec"]["completions"], job["spec"]["parallelism"]) == ("Indexed", 3, 3)
    assert (job["spec"]["backoffLimitPerIndex"], job["spec"]["maxFailedIndexes"]) == (3, 3)
    assert "backoffLimit" not in job["spec"]
    assert [rule["action"] for rule in job["spec"]["podFailurePolicy"]["rules"]] == ["Ignore", "FailIndex"]
    pod = job["spec"]["template"]["spec"]
    arguments = ["--sweep", f"memory://bucket/depth/{name}/sweep.json", "--share", "$(JOB_COMPLETION_INDEX)/3"]
    assert pod["containers"][0]["args"][:4] == arguments
    assert violations(pod) == []
    assert known_to_kubernetes(job) == job


def test_a_queue_may_let_a_part_of_the_pods_go(tmp_path: Path) -> None:
    queued = CLUSTER | {"kubernetes": {**CLUSTER["kubernetes"], "queue": "team"}}  # type: ignore[dict-item]  # a group
    job = manifest(placed(tmp_path, "n=1,2", profile=queued))
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["annotations"]["kueue.x-k8s.io/job-min-parallelism"] == "1"


def test_the_same_sweep_has_the_same_name_and_a_larger_one_the_same_work(tmp_path: Path) -> None:
    first, again = placed(tmp_path, "n=1,2"), placed(tmp_path, "n=1,2")
    larger = placed(tmp_path, "n=1,2,3")
    assert (first.places.name, first.plan) == (again.places.name, again.plan)
    assert larger.places.name != first.places.name
    works = [[spec_digest(spec, "", "") for spec in each.plan.specs[:2]] for each in (first, larger)]
    assert works[0] == works[1]
    assert dict(first.uploads).keys() == {first.plan.specs[0].input_uri}


def test_a_container_makes_all_runs_and_writes_to_their_folder(tmp_path: Path) -> None:
    sweep = placed(
        tmp_path, "n=1,2", output=str(tmp_path / "out"), jobs=2, profile={"on": "docker", "image": "nbstep:1"}
    )
    assert (sweep.plan.jobs, sweep.submission.workers) == (2, 1)
    container = manifest(sweep)
    assert container["Cmd"][:4] == ["--sweep", f"{sweep.places.folder}/sweep.json", "--share", "0/1"]
    assert [mount["Source"] for mount in container["HostConfig"]["Mounts"]] == [str(tmp_path / "out")]


def test_a_claim_that_only_one_set_names_is_mounted(tmp_path: Path) -> None:
    notebook = notebooks.write(tmp_path / "in.ipynb", [Code("data: str = ''", tags=("parameters",))])
    request = SweepRequest(
        notebook=str(notebook),
        sets=combine([typed_axis("data=here,pvc://flights/a")], []),
        output="memory://bucket/out",
    )
    sweep = place(request, load_profile(None, CLUSTER))
    assert sweep.submission.claims == ("flights",)
    assert [spec.parameters[0].mapping["data"] for spec in sweep.plan.specs] == ["here", "/pvc/flights/a"]


@pytest.mark.parametrize(
    "given", [{"image": "i"}, {"per_pod": 2}, {"resources": {"cpu": 1}}, {"retries": 1}, {"wait": False}]
)
def test_what_only_another_place_has_is_refused_here(tmp_path: Path, given: dict[str, Any]) -> None:
    notebook = notebooks.write(tmp_path / "in.ipynb", [Code("n = 1", tags=("parameters",))])
    with pytest.raises(UsageError, match="this machine"):
        sweep(notebook, grid={"n": [1]}, output=tmp_path / "out", **given)


def test_a_backend_that_starts_no_sweeps_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="starts no sweeps"):
        placed(tmp_path, "n=1", profile={"on": "memory"})


@dataclass(eq=False)
class Cluster:
    """A place that says of its one sweep what a test wants, and remembers what it was asked to do."""

    status: Status = field(default_factory=lambda: Status(phase=Phase.RUNNING, words="2 pods run"))
    asked: list[str] = field(default_factory=list)
    scheme: ClassVar[str] = "test"

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        return dict.fromkeys(handles, self.status)

    def cancel(self, handle: str) -> None:
        self.asked.append(f"cancel {handle}")

    def forget(self, handle: str) -> None:
        self.asked.append(f"forget {handle}")

    def plan(self, submission: Submission) -> Plan:
        raise NotImplementedError

    def submit(self, plan: Plan) -> None:
        raise NotImplementedError

    def locate(self, handle: str) -> Located:
        raise NotImplementedError

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes]:
        raise NotImplementedError


class Started:
    """A sweep of three sets that was started in a folder of its own."""

    def __init__(self, folder: Path, grid: str = "n=1,2,3") -> None:
        self.placed = placed(folder, grid, output=f"memory://bucket/{folder.name}")
        self.cluster = Cluster()
        self.store = store_of("memory://bucket", StorageOptions())
        self.places = self.placed.places
        upload(self.placed.uploads, StorageOptions())
        self.write_plan()

    def write_plan(self) -> None:
        self.store.write(self.places.plan, encode(self.placed.plan))

    def found(self) -> SubmittedSweep:
        located = Located(run_id=self.places.name, spec_uri=self.places.plan, output_uri="")
        return SubmittedSweep(Run(f"test://{self.places.name}", located, self.cluster))

    def write(self, n: int, state: RunState = RunState.SUCCEEDED, **members: Any) -> None:
        spec = self.placed.plan.specs[n - 1]
        record = replace(RunResult.blank(spec, str), state=state, exit_code=0, **members)
        self.store.write(self.places.record(f"n={n}"), encode(record))


@pytest.fixture
def started(tmp_path: Path) -> Started:
    return Started(tmp_path)


FAILED: dict[str, Any] = {"state": RunState.FAILED, "error": ErrorInfo.of(CellFailedError("no two"))}
STOPPED: dict[str, Any] = {"state": RunState.CANCELLED, "error": ErrorInfo.of(TerminatedError("evicted"))}


def test_a_run_that_ended_is_heard_of_once_and_the_sweep_ends_with_its_job(started: Started) -> None:
    heard: list[tuple[int, str]] = []
    sweep = started.found()
    started.write(1)
    started.write(3, **STOPPED)
    with pytest.raises(WaitTimeoutError, match="1 of 3 runs have ended"):
        sweep.wait(0.0, listen=lambda index, run: heard.append((index, run.state)))
    started.write(2, **FAILED)
    started.write(3)
    started.cluster.status = Status(phase=Phase.ENDED, exit_code=0)
    done = sweep.wait(check=False)
    assert [run.state for run in done] == [RunState.SUCCEEDED, RunState.FAILED, RunState.SUCCEEDED]
    assert [index for index, state in heard if state in ("succeeded", "failed")] == [0, 1, 2]
    assert (str(sweep.status().state), sweep.status().words) == ("failed", "3 of 3 runs have ended, 1 of them failed")


@pytest.mark.parametrize("place", ["memory://bucket/x/../y.ipynb", "memory://bucket/%2e%2e/y.ipynb", "y.ipynb"])
@pytest.mark.parametrize("field", ["output_uri", "input_uri"])
def test_a_plan_that_names_a_folder_outside_of_the_sweeps_own_removes_nothing(
    started: Started, place: str, field: str
) -> None:
    changed: dict[str, Any] = {field: place}
    specs = [replace(spec, **changed) for spec in started.placed.plan.specs]
    started.store.write(started.places.plan, encode(replace(started.placed.plan, specs=tuple(specs))))
    started.cluster.status = Status(phase=Phase.ENDED, exit_code=0, cancelled=True)
    before = list(started.store.list("memory://bucket"))
    with pytest.raises(BadInputError, match="outside of its own folders"):
        started.found().delete()
    assert list(started.store.list("memory://bucket")) == before


def test_a_record_that_could_not_be_read_is_read_again_at_the_next_look(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in (1, 2, 3):
        started.write(n)
    started.cluster.status = Status(phase=Phase.RUNNING)
    sweep, read, failing = started.found(), started.store.read, [True]

    def once_away(uri: str) -> Any:
        if uri.endswith("n=1/output.result.json") and failing:
            failing.clear()
            raise StorageUnavailableError("away")
        return read(uri)

    monkeypatch.setattr(started.store, "read", once_away)
    with pytest.raises(StorageUnavailableError):
        sweep.status()
    started.cluster.status = Status(phase=Phase.ENDED, cancelled=True)
    assert [run.state for run in sweep.wait(check=False)] == [RunState.SUCCEEDED] * 3


def test_a_damaged_record_keeps_no_other_run_from_its_verdict(started: Started) -> None:
    started.write(1)
    started.store.write(started.places.record("n=2"), b"{")
    started.cluster.status = Status(phase=Phase.RUNNING)
    sweep = started.found()
    assert sweep.status().words.startswith("1 of 3 runs have ended, 0 of them failed")
    started.write(3)
    started.cluster.status = Status(phase=Phase.ENDED, exit_code=0)
    assert [run.state for run in sweep.wait(check=False)] == [RunState.SUCCEEDED, RunState.LOST, RunState.SUCCEEDED]


def test_what_nobody_gave_a_verdict_gets_one_once_no_process_is_left(started: Started) -> None:
    started.write(1)
    started.write(2, RunState.RUNNING)
    started.cluster.status = Status(
        phase=Phase.ENDED, exit_code=137, words="the container was killed for memory", reference="out-of-memory"
    )
    done = started.found().wait(check=False)
    assert [run.result.exit_code for run in done if run.result] == [0, 13, 13]
    assert "killed for memory" in done.runs[2].error
    assert [run.state for run in started.found().wait(check=False)] == [run.state for run in done]


def test_a_sweep_that_was_cancelled_leaves_what_was_not_begun(started: Started) -> None:
    started.write(1, **STOPPED)
    started.cluster.status = Status(phase=Phase.ENDED, cancelled=True)
    sweep = started.found()
    sweep.cancel()
    done = sweep.wait(check=False)
    assert [run.state for run in done] == [RunState.CANCELLED, RunState.PENDING, RunState.PENDING]
    assert (done.exit_code, sweep.status().state) == (143, RunState.CANCELLED)
    assert started.cluster.asked == [f"cancel test://{started.places.name}"]


def test_records_from_before_the_sweep_are_none_of_it(started: Started) -> None:
    started.write(1)
    started.write_plan()
    sweep = started.found()
    sweep.status()
    assert [run.state for run in sweep.outcome()] == [RunState.PENDING] * 3
    started.cluster.status = Status(phase=Phase.ENDED, words="no image", reference="not-started")
    done = sweep.wait(check=False)
    assert done.exit_code == 78
    assert b"succeeded" in started.store.read(started.places.record("n=1")).data


def test_it_shows_how_far_it_is_and_in_the_end_its_table(started: Started) -> None:
    sweep = started.found()
    started.write(1)
    html = drawn(sweep, sweep.status())
    assert "1 of 3 runs have ended, 0 of them failed" in html
    assert '<progress value="1" max="3"' in html
    assert "<table" not in html
    assert "&lt;no&gt; answer" in drawn(sweep, ClusterUnavailableError("<no> answer"))
    started.write(2, **FAILED)
    started.write(3)
    started.cluster.status = Status(phase=Phase.ENDED, exit_code=0)
    html = drawn(sweep, sweep.status())
    assert "3 of 3 runs have ended, 1 of them failed" in html
    assert "<table" in html
    assert "<progress" not in html


def test_what_a_notebook_leaves_beside_its_output_is_no_record(started: Started) -> None:
    started.write(1, RunState.RUNNING)
    started.store.write(f"{started.places.runs}/n=1/output.files/n=2/output.result.json", b"anything")
    sweep = started.found()
    assert sweep.status().words.startswith("0 of 3 runs")


def test_one_listing_a_look_and_one_read_for_each_record_that_has_changed(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()
    read, listing = MemoryStore.read, MemoryStore.list

    def counted_read(self: MemoryStore, uri: str) -> Any:
        asked["read"] += uri.endswith(".result.json")
        return read(self, uri)

    def counted_list(self: MemoryStore, uri: str) -> Any:
        asked["list"] += 1
        return listing(self, uri)

    monkeypatch.setattr(MemoryStore, "read", counted_read)
    monkeypatch.setattr(MemoryStore, "list", counted_list)
    sweep = started.found()
    for n in (1, 2):
        started.write(n)
    for _ in range(5):
        sweep.status()
    started.write(3)
    sweep.status()
    assert asked == {"list": 6, "read": 3}


def test_its_lines_are_told_once_and_it_is_removed_whole(started: Started) -> None:
    sweep = started.found()
    started.write(1)
    with pytest.raises(OutputConflictError):
        sweep.delete()
    started.write(2, **FAILED)
    started.write(3)
    started.cluster.status = Status(phase=Phase.ENDED, problems=("the node was full",))
    lines = [line.message for line in sweep.lines(follow=True)]
    assert len(lines) == len(set(lines)) == 5
    assert "the node was full" in lines
    assert lines[-1] == "sweep failed: 3 of 3 runs have ended, 1 of them failed"
    sweep.delete()
    assert list(started.store.list(f"{started.places.runs}/")) == []
    assert started.cluster.asked == [f"forget test://{started.places.name}"]


def test_what_another_sweep_in_the_folder_names_too_stays_until_the_last_of_them_goes(
    started: Started, tmp_path: Path
) -> None:
    other = Started(tmp_path, "n=3,4")
    forged = f"{started.places.runs}/n=1/output.files/other/sweep.json"  # a notebook's: no plan of a sweep
    started.store.write(forged, encode(started.placed.plan))
    for n in (1, 2, 3):
        started.write(n)
    for each in (started, other):
        each.cluster.status = Status(phase=Phase.ENDED, exit_code=0)

    removed = started.found().delete()
    assert [each.run_id for each in removed] == ["n=1", "n=2", started.places.name]
    left = {stat.uri.split("/")[4] for stat in started.store.list(f"{started.places.runs}/")}
    assert left == {"n=3", other.places.name, other.placed.plan.specs[0].input_uri.split("/")[-2]}

    other.found().delete()
    assert list(started.store.list(f"{started.places.runs}/")) == []


def test_a_heartbeat_in_the_future_keeps_no_run_of_a_sweep_that_is_gone(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("nbstep.sweeps.records.time.monotonic", lambda: now)
    beat = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    claim = Claim(token="t", host="h", pid=1, pid_started=1, heartbeat_at=beat, lease_seconds=30.0)  # noqa: S106 - no secret
    for n in (1, 2, 3):
        started.write(n, RunState.RUNNING, claim=claim)
    started.cluster.status = Status(phase=Phase.GONE, words="gone", reference="lost")
    sweep = started.found()
    assert sweep.status().state is RunState.RUNNING
    now += 61
    assert sweep.status().state is RunState.FAILED
    assert [run.state for run in sweep.outcome()] == [RunState.LOST] * 3
