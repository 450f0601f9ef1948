"""The index of runs: the same answers as from the folder itself, whatever becomes of its file."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbstep.backends.server.interface import summary_of
from nbstep.runs.history import read_run
from nbstep.server import index as index_module
from nbstep.server.config import Folder
from nbstep.server.folders import RunFolder
from nbstep.server.index import RunIndex
from nbstep.server.index_database import IndexRenewedError
from nbstep.server.index_file import IndexFile
from nbstep.server.index_rows import Entry, Found, Wanted
from nbstep.server.listing import Query, page
from nbstep.server.problems import Problem
from nbstep_runner.contract import RunResult, RunSpec, RunState, encode
from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.stores import Blob, Stat, redact
from nbstep_runner.stores.memory import MemorySpace, MemoryStore


def until(holds: Callable[[], object], what: str) -> None:
    """Wait for something that comes on another thread."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class CountingStore(MemoryStore):
    """Counts what is asked of it, and lets a test hold up a listing or let it fail after its first objects."""

    def __init__(self, space: MemorySpace) -> None:
        super().__init__(space)
        self.reads: list[str] = []
        self.may_list = threading.Event()
        self.may_list.set()
        self.fails = False

    def read(self, uri: str) -> Blob:
        self.reads.append(uri)
        return super().read(uri)

    def list(self, uri: str) -> Iterator[Stat]:
        for number, stat in enumerate(super().list(uri)):
            assert self.may_list.wait(120)
            if self.fails and number:
                raise StorageUnavailableError("the network is gone")
            yield stat


class Runs:
    """A folder of runs in memory, and the list that a server with this cache gives of it."""

    def __init__(self, cache: Path | None = None) -> None:
        self.uri = f"memory://{secrets.token_hex(4)}/runs"
        self.space = MemorySpace()
        self.cache = cache
        self.serve()

    def restart(self) -> None:
        """End the server, whose records have been read, and start another."""
        self.index.file.close()
        self.serve()

    def serve(self) -> None:
        self.store = CountingStore(self.space)
        folder = Folder(uri=self.uri)
        file = RunIndex.of(folder, None if self.cache is None else str(self.cache)).file
        self.index = RunIndex(f"{self.uri}/", lambda: self.store, file)
        self.folder = RunFolder("team", folder, {}, self.index)

    def put(self, run_id: str, state: RunState = RunState.SUCCEEDED, **members: Any) -> None:
        spec = RunSpec(run_id=run_id, input_uri="in.ipynb", output_uri=f"{self.uri}/{run_id}/output.ipynb")
        self.store.write(f"{self.uri}/{run_id}/spec.json", encode(spec))
        if state is not RunState.PENDING:
            record = replace(RunResult.blank(spec, redact), state=state, **members)
            self.store.write(f"{self.uri}/{run_id}/output.result.json", encode(record))

    def remove(self, run_id: str) -> None:
        for name in ("spec.json", "output.result.json"):
            self.store.delete(f"{self.uri}/{run_id}/{name}")

    def listed(self, **query: Any) -> dict[str, str]:
        """Ids and states, in order."""
        return {run.id: run.state.value for run in page(self.folder, Query(**query), 2000).runs}

    def all_are_read(self) -> bool:
        return not self.index.file.unread(1)

    @property
    def file(self) -> Path:
        assert self.cache is not None
        (found,) = self.cache.glob("*.sqlite3")
        return found


def read_whole(runs: Runs) -> None:
    """Have every record read, and nothing under way on the side that would read one once more."""
    runs.listed()
    until(runs.all_are_read, "records have not been read")
    until(lambda: not any(thread.name.startswith("nbstep-index") for thread in threading.enumerate()), "it reads on")


def test_a_server_that_is_started_again_reads_only_what_is_new(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "cache")
    for number in range(5):
        runs.put(f"r-{number}")
    read_whole(runs)
    runs.restart()
    runs.put("r-9", RunState.FAILED)
    runs.put("r-3", RunState.FAILED)
    runs.remove("r-1")
    assert runs.listed() == {"r-3": "failed", "r-9": "failed"} | {f"r-{n}": "succeeded" for n in (4, 2, 0)}
    assert {uri.split("/")[-2] for uri in runs.store.reads} == {"r-3", "r-9"}
    assert runs.file.parent.stat().st_mode & 0o077 == 0, "others can read what runs were given and found"


def of_another_version(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE runs SET state = 'failed', summary = NULL")
        connection.execute("PRAGMA user_version = 7")


@pytest.mark.fault(78)
def test_an_index_of_another_version_is_made_again(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.put("r-1")
    read_whole(runs)
    of_another_version(runs.file)
    runs.restart()
    assert runs.listed() == {"r-1": "succeeded"}


def without_a_table(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE labels")


def with_a_hole(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(file.read_bytes())
    data[4096:] = bytes(b ^ 0x5A for b in data[4096:])
    file.write_bytes(data)


@pytest.mark.fault(78)
@pytest.mark.parametrize(
    "damage",
    [
        *(Path.unlink, without_a_table, with_a_hole),
        *(lambda file: file.write_bytes(b"no database"), lambda file: file.write_bytes(b"")),
        lambda file: file.write_bytes(file.read_bytes()[:5000]),
    ],
)
@pytest.mark.parametrize("restarted", [True, False])
def test_an_index_that_is_lost_or_damaged_is_made_again(
    tmp_path: Path, damage: Callable[[Path], object], *, restarted: bool
) -> None:
    runs = Runs(tmp_path)
    for number in range(3):
        runs.put(f"r-{number}", labels={"team": "a"})
    read_whole(runs)
    damage(runs.file)
    if restarted:
        runs.restart()
    runs.put("r-3", labels={"team": "a"})
    for _ in range(2):
        assert runs.listed(label=("team=a",)) == {f"r-{number}": "succeeded" for number in (3, 2, 1, 0)}


def test_a_query_that_sqlite_refuses_damages_nothing(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.put("r")
    read_whole(runs)
    many = Wanted(labels=(("a", "b"),) * 2000)
    with pytest.raises(StorageUnavailableError):
        runs.index.file.rows(many, None, 1)
    assert runs.index.file.listed
    assert runs.listed() == {"r": "succeeded"}


@pytest.mark.fault(78)
def test_an_index_that_is_made_again_while_the_folder_is_listed_is_not_called_whole(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.put("r")
    read_whole(runs)
    file = runs.index.file
    seen, renewals = bytearray(file.last_key + 1), file.renewals
    file.renew()
    file.take([Entry(run_id="r", has_record=True, version="1", modified=1.0)])
    with pytest.raises(IndexRenewedError):
        file.finish_listing(seen, [], 1.0, renewals)
    assert (file.listed, [row.run_id for row in file.unread(2)]) == (None, ["r"])


@pytest.mark.fault(78)
def test_an_index_that_is_damaged_again_and_again_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: Any) -> None:
        raise IndexRenewedError

    runs = Runs()
    monkeypatch.setattr(runs.index, "refresh", damaged)
    with pytest.raises(Problem) as caught:
        runs.listed()
    assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "5"})


@pytest.mark.fault(78)
def test_an_index_that_is_made_again_while_it_is_asked_is_asked_again(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.put("r")
    read_whole(runs)
    renewing = iter([True])

    def ask(_: float) -> list[str]:
        if next(renewing, False):
            runs.index.file.renew()
        return [row.run_id for row in runs.index.file.rows(Wanted(), None, 9)]

    assert runs.index.told(ask) == ["r"]


@pytest.mark.parametrize("obstacle", ["a file", "a folder in the file's place"])
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, obstacle: str) -> None:
    if obstacle == "a file":
        (tmp_path / "cache").write_text("")
    runs = Runs(tmp_path / "cache")
    if obstacle != "a file":
        path = runs.index.file.path
        assert path is not None
        path.mkdir(parents=True)
    runs.put("r-1")
    assert runs.listed() == {"r-1": "succeeded"}


@pytest.mark.fault(78)
def test_a_run_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    file = IndexFile(tmp_path / "index")
    entry = Entry(run_id="r-1", has_record=True, version="1", modified=1.0)
    file.take([entry])
    (row,) = file.unread(9)
    file.take([replace(entry, version="2")])
    file.keep([Found(row, None, settled=True)], time.time())
    assert [each.version for each in file.unread(9)] == ["2"]


def slow(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no listing count as quick: pages tell what the last one brought."""
    monkeypatch.setattr(index_module, "QUICK_SECONDS", -1.0)
    monkeypatch.setattr(index_module, "FRESH_SECONDS", -1.0)
    monkeypatch.setattr(index_module, "PAUSES", 0.0)
    runs.store.may_list.clear()


def test_a_slow_listing_is_not_waited_for_and_runs_under_way_are_told_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path)
    for run_id, state in (("done", RunState.SUCCEEDED), ("begun", RunState.RUNNING), ("waits", RunState.PENDING)):
        runs.put(run_id, state)
    read_whole(runs)
    slow(runs, monkeypatch)
    assert runs.listed() == {"waits": "pending", "begun": "running", "done": "succeeded"}
    runs.put("waits", RunState.RUNNING)
    runs.put("begun", RunState.FAILED)
    runs.put("other", RunState.SUCCEEDED)
    assert runs.listed() == {"waits": "running", "begun": "failed", "done": "succeeded"}
    assert runs.listed(state=RunState.FAILED) == {"begun": "failed"}
    runs.index.note("mine")
    runs.put("mine", RunState.PENDING)
    assert "mine" in runs.listed(), "whoever submits a run here does not see it"
    runs.store.reads.clear()
    runs.listed()
    assert not [uri for uri in runs.store.reads if "done" in uri], "a run that has ended is read again"
    runs.store.may_list.set()
    until(lambda: {"other", "mine"} <= runs.listed().keys(), "the listing was never made")


def test_a_first_listing_that_takes_long_is_told_until_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs()
    monkeypatch.setattr(index_module, "PATIENCE_SECONDS", 0.01)
    runs.put("r-1")
    runs.store.may_list.clear()
    for _ in range(3):
        with pytest.raises(Problem) as raised:
            runs.listed()
        assert (raised.value.status, raised.value.headers) == (503, {"Retry-After": "5"})
    runs.store.may_list.set()
    until(lambda: runs.index.file.listed, "the listing never ended")
    assert runs.listed() == {"r-1": "succeeded"}


@pytest.mark.fault(78)
def test_a_listing_that_breaks_off_removes_nothing(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    for number in range(3):
        runs.put(f"r-{number}")
    before = runs.listed()
    runs.store.fails = True
    with pytest.raises(StorageUnavailableError):
        runs.listed()
    assert [row.run_id for row in runs.index.file.unread(9)] == []
    runs.store.fails = False
    assert runs.listed() == before


def test_two_servers_share_a_file(tmp_path: Path) -> None:
    """Each as its own process has it: with a connection of its own."""
    first = Runs(tmp_path)
    second = Runs(tmp_path)
    second.uri, second.space = first.uri, first.space
    second.serve()
    for number in range(200):
        first.put(f"r-{number}")
    failures: list[Exception] = []

    def look(runs: Runs) -> None:
        try:
            for _ in range(5):
                assert len(runs.listed(limit=200)) == 200
        except Exception as error:  # noqa: BLE001 - told in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=look, args=[runs]) for runs in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures


IDS = st.sampled_from(["a", "a-b", "a0", "b", "b-1"])
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("remove"), IDS),
        st.tuples(IDS, st.sampled_from(RunState), st.sampled_from("xy"), st.integers(1, 3)),
        st.just("restart"),
    ),
    max_size=12,
)
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(RunState),
        "notebook": st.sampled_from(["a", "a-", "b-1", "c", "\x00", "%"]),
        "label": st.sampled_from([("team=x",), ("team=x", "team=y"), ("team=",), ("other=x",)]),
        "since": st.integers(1, 3).map(lambda day: datetime(2026, 1, day, tzinfo=UTC)),
    },
)


@settings(max_examples=30)
@given(changes=CHANGES, queries=st.lists(QUERIES, min_size=1, max_size=3), limit=st.integers(1, 3))
def test_pages_are_what_the_folder_holds(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Any], queries: list[dict[str, Any]], limit: int
) -> None:
    runs = Runs(tmp_path_factory.mktemp("cache"))
    states: dict[str, RunState] = {}
    for change in changes:
        if change == "restart":
            read_whole(runs)
            runs.restart()
        elif change[0] == "remove":
            runs.remove(change[1])
            states.pop(change[1], None)
        else:
            run_id, state, team, day = change
            runs.remove(run_id)
            runs.put(run_id, state, labels={"team": team}, started_at=f"2026-01-0{day}T00:00:00Z")
    for query in queries:
        told: list[tuple[str, RunState]] = []
        cursor: str | None = ""
        while cursor is not None:
            found = page(runs.folder, Query(limit=limit, cursor=cursor, **query), 2)
            told += [(run.id, run.state) for run in found.runs]
            cursor = found.next
        assert told == expected(runs, Query(**query))


def expected(runs: Runs, query: Query) -> list[tuple[str, RunState]]:
    """The same by looking at every object."""
    found = []
    for run_id in ("a", "a-b", "a0", "b", "b-1"):
        record, spec = (f"{runs.uri}/{run_id}/{name}" for name in ("output.result.json", "spec.json"))
        uri = record if runs.store.stat(record) else spec
        stat, told = runs.store.stat(uri), read_run(runs.store, uri)
        if stat is not None and told is not None and query.takes(summary_of("team", run_id, told)):
            found.append((stat.modified or 0.0, run_id, told.state))
    return [(run_id, state) for _, run_id, state in sorted(found, reverse=True)]
