"""Sweeps read from records: what has ended is read once, as long as there is room for it."""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from nbstep.profiles.storage import store_of
from nbstep.server.folders import RunFolders
from nbstep.server.sweep_reader import AT_ONCE, SweepReader
from nbstep_runner.contract import (
    PLAN,
    RECORD,
    ErrorInfo,
    LeftBehind,
    RunResult,
    RunSpec,
    RunState,
    StorageOptions,
    SweepSpec,
    encode,
)
from nbstep_runner.stores import redact
from nbstep_runner.testing import MemoryStore
from support.service import Service, config

if TYPE_CHECKING:
    from nbstep.server.folders import RunFolder
    from nbstep_runner.stores import Blob


def leave(group: str, name: str, state: RunState, **members: Any) -> None:
    """The record of a run."""
    record = RunResult.blank(RunSpec(run_id=name, input_uri="", output_uri=f"{group}/{name}/o.ipynb"), redact)
    left = replace(record, **{"state": state, "results": {"rmse": 1}, **members})
    store_of(group, StorageOptions()).write(f"{group}/{name}/{RECORD}", encode(left))


class World:
    """A sweep of one run that goes on, one that looks lost, and three that succeeded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        runs = f"memory://{secrets.token_hex(4)}/runs"
        self.uri, self.reads = f"{runs}/lr", Counter[str]()
        self.group: RunFolder = RunFolders(config(folders={"team": {"uri": runs}})).named("team").within("lr")
        read = MemoryStore.read

        def counted(store: MemoryStore, uri: str) -> Blob:
            self.reads[uri.split("/")[-2]] += 1
            return read(store, uri)

        monkeypatch.setattr(MemoryStore, "read", counted)
        for number in range(3):
            self.put(f"n={number}", RunState.SUCCEEDED)
        self.put("n=3", RunState.RUNNING)
        self.put("n=4", RunState.LOST)

    def put(self, name: str, state: RunState, **members: Any) -> None:
        leave(self.uri, name, state, **members)

    def plan(self, sweep: str, names: list[str]) -> None:
        """The plan of a sweep of these runs."""
        specs = tuple(
            RunSpec(run_id=name, input_uri="", output_uri=f"{self.uri}/{name}/output.ipynb") for name in names
        )
        plan = SweepSpec(specs=specs, jobs=1, sets=({},) * len(names))
        store_of(self.uri, StorageOptions()).write(f"{self.uri}/{sweep}/{PLAN}", encode(plan))

    def states(self, reader: SweepReader) -> list[RunState]:
        return [run.state for run in reader.table(self.group).sweep.runs]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_what_has_ended_is_read_once_and_again_once_it_changes(world: World) -> None:
    reader = SweepReader(most=100)
    first = [world.states(reader) for _ in range(2)][1]
    assert first == [*[RunState.SUCCEEDED] * 3, RunState.RUNNING, RunState.LOST]
    assert world.reads == {"n=0": 1, "n=1": 1, "n=2": 1, "n=3": 2, "n=4": 2}
    world.put("n=1", RunState.FAILED)
    world.put("n=3", RunState.SUCCEEDED)
    world.reads.clear()
    assert world.states(reader)[1:4] == [RunState.FAILED, RunState.SUCCEEDED, RunState.SUCCEEDED]
    assert world.reads == {"n=1": 1, "n=3": 1, "n=4": 1}


def test_what_has_no_room_is_read_again(world: World) -> None:
    reader = SweepReader(most=100, kept_bytes=1000)
    for _ in range(2):
        assert len(world.states(reader)) == 5
    assert sum(world.reads[f"n={number}"] for number in range(3)) > 3


def test_no_more_of_a_failure_is_kept_than_is_shown(world: World) -> None:
    error = ErrorInfo(reference="cell-failed", message="it raised", hint="Look.", traceback=("at a line",) * 10_000)
    behind = LeftBehind(count=1, size=1, names=("a",) * 10_000)
    for number in range(3):
        world.put(f"n={number}", RunState.FAILED, error=error, left_behind=behind)
    reader = SweepReader(most=100, kept_bytes=10_000)
    (run, *_) = [reader.table(world.group).sweep.runs for _ in range(2)][1]
    assert run.result is not None
    assert run.result.error == ErrorInfo(reference="cell-failed", message="it raised", hint="Look.")
    assert [world.reads[f"n={number}"] for number in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("large", ["parameters", "results", "labels"])
def test_a_run_whose_values_are_too_large_says_so(world: World, large: str) -> None:
    world.put("n=0", RunState.SUCCEEDED, **{large: {"text": "x" * 2**16}})
    service = Service.of(folders={"team": {"uri": world.uri.rpartition("/")[0]}})
    told = {each["name"]: each for each in service.get("/v1/sweeps/lr").json()["sets"]}
    assert [told[name]["run"]["whole"] for name in ("n=0", "n=1")] == [False, True]
    assert [told["n=0"]["run"][name] for name in ("parameters", "results", "labels")] == [{}, {}, {}]


def test_a_sweep_whose_runs_have_ended_is_told_as_unfinished_by_no_record_that_was_not_read(world: World) -> None:
    for sweep in ("first", "second"):
        world.plan(sweep, [f"{sweep}={number}" for number in range(3)])
        for number in range(3):
            world.put(f"{sweep}={number}", RunState.SUCCEEDED)
    reader = SweepReader(most=4)
    table = reader.table(world.group)
    assert (len(table.sweep.runs), table.unfinished) == (4, ())
    store_of(world.uri, StorageOptions()).delete(f"{world.uri}/second=2/{RECORD}")
    assert reader.table(world.group).unfinished == ("second",), "that it has no record is known without reading one"


def test_a_folder_whose_store_is_slow_keeps_no_other_from_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, quick = (f"memory://{secrets.token_hex(4)}/runs" for _ in range(2))
    folders = RunFolders(config(folders={"slow": {"uri": slow}, "quick": {"uri": quick}}))
    for uri, runs in ((slow, AT_ONCE), (quick, 1)):
        for number in range(runs):
            leave(f"{uri}/lr", f"n={number}", RunState.SUCCEEDED)
    read, waiting, answers = MemoryStore.read, threading.Semaphore(0), threading.Event()

    def slowly(store: MemoryStore, uri: str) -> Blob:
        if uri.startswith(slow):
            waiting.release()
            assert answers.wait(120)
        return read(store, uri)

    monkeypatch.setattr(MemoryStore, "read", slowly)
    reader = SweepReader(most=100)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(reader.table, folders.named("slow").within("lr"))
        try:
            assert all(waiting.acquire(timeout=120) for _ in range(AT_ONCE)), "as many are read as may be at once"
            other = pool.submit(reader.table, folders.named("quick").within("lr")).result(120)
        finally:
            answers.set()
    assert (len(other.sweep.runs), len(first.result().sweep.runs)) == (1, AT_ONCE)
