"""The claim as a state machine, on a store with every promise kept; two clients see the same objects."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from nbstep_runner.contract import Claim, Progress, RunResult, RunState, decode, encode
from nbstep_runner.errors import InputNotFoundError, NbstepError, OutputConflictError, StorageUnavailableError
from nbstep_runner.processes import host_identity, started_at
from nbstep_runner.session import claim as claims
from nbstep_runner.session import earlier
from nbstep_runner.session.claim import OutputClaim
from nbstep_runner.session.earlier import Existing, owner_is_gone, read_existing, wait_until_free
from nbstep_runner.stores import ABSENT, Blob
from nbstep_runner.stores.memory import MemorySpace, MemoryStore
from nbstep_runner.supervisor import Supervisor

URI = "memory://runs/out.result.json"
ELSEWHERE = "another-boot/pid:[1]"


def record(run_id: str = "mine", state: RunState = RunState.RUNNING, **fields: Any) -> RunResult:
    return RunResult(
        run_id=run_id, attempt=1, spec_digest="sha256:0", state=state, input_uri="in", output_uri="out", **fields
    )


def claim(**fields: Any) -> Claim:
    usual: dict[str, Any] = {"token": "t", "host": ELSEWHERE, "pid": 1, "pid_started": 1, "lease_seconds": 0.2}
    return Claim(**({"heartbeat_at": datetime.now(UTC).isoformat()} | usual | fields))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(MemorySpace())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of a fraction of a second."""
    monkeypatch.setattr(claims, "LEASE_SECONDS", 0.3)
    monkeypatch.setattr(earlier, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(earlier, "SLACK_SECONDS", 0.1)


def taken(store: MemoryStore, run_id: str = "mine", version: str = ABSENT) -> tuple[OutputClaim, list[NbstepError]]:
    lost: list[NbstepError] = []
    keeper = OutputClaim(lambda _: store, URI, lost.append)
    keeper.take(record(run_id), version)
    return keeper, lost


def stored(store: MemoryStore) -> RunResult:
    return decode(store.read(URI).data, RunResult)


def test_a_claim_names_its_owner(store: MemoryStore) -> None:
    keeper, _ = taken(store)
    found = stored(store)
    assert found.state is RunState.RUNNING
    assert found.claim is not None
    assert (found.claim.pid, found.claim.host) == (os.getpid(), host_identity())
    assert len(found.claim.token) == 32
    assert not found.claim.best_effort
    keeper.commit(record(state=RunState.SUCCEEDED))


def test_a_heartbeat_says_how_far_the_run_is(store: MemoryStore) -> None:
    progress = Progress(ended=2, cells=5, title="Train")
    keeper = OutputClaim(lambda _: store, URI, print, lambda: progress)
    keeper.take(record("mine"), ABSENT)
    keeper.confirm()
    assert stored(store).progress == progress
    keeper.commit(record(state=RunState.SUCCEEDED))
    assert stored(store).progress is None


@pytest.mark.fault(71)
def test_the_first_heartbeat_comes_soon_where_a_stop_may_leave_no_time(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a store makes of a write that replaces another is known before such a stop needs it."""
    monkeypatch.setattr(claims, "LEASE_SECONDS", 3600.0)
    monkeypatch.setattr(claims, "SOON_SECONDS", 0.01)
    beaten = threading.Event()

    def progress() -> None:
        beaten.set()

    keeper = OutputClaim(lambda _: store, URI, print, progress, soon=True)
    keeper.take(record("mine"), ABSENT)
    assert beaten.wait(30)
    keeper.commit(record(state=RunState.SUCCEEDED))


def test_of_two_that_found_nothing_one_takes_it(store: MemoryStore) -> None:
    first, _ = taken(store)
    with pytest.raises(OutputConflictError):
        taken(store, "other")
    first.commit(record(state=RunState.SUCCEEDED))
    assert stored(store).run_id == "mine"


def test_of_many_at_once_exactly_one_takes_it(store: MemoryStore) -> None:
    outcomes: list[str] = []
    ready = threading.Barrier(8)

    def attempt(number: int) -> None:
        ready.wait()
        try:
            taken(store, str(number))
            outcomes.append("taken")
        except OutputConflictError:
            outcomes.append("lost")

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(outcomes) == ["lost"] * 7 + ["taken"]


def test_heartbeats_keep_it_until_the_record_is_committed(store: MemoryStore) -> None:
    keeper, lost = taken(store)
    versions: set[str] = set()
    end = time.monotonic() + 5
    while len(versions) < 3 and time.monotonic() < end:
        versions.add(store.read(URI).version)
        time.sleep(0.02)
    assert len(versions) >= 3
    keeper.commit(record(state=RunState.SUCCEEDED))
    final = store.read(URI)
    time.sleep(0.3)
    assert store.read(URI) == final
    assert (stored(store).state, lost) == (RunState.SUCCEEDED, [])


def test_an_owner_learns_that_it_has_lost(store: MemoryStore) -> None:
    keeper, lost = taken(store)
    store.write(URI, encode(record("thief", claim=claim())))
    end = time.monotonic() + 5
    while not lost and time.monotonic() < end:
        time.sleep(0.02)
    assert [type(error) for error in lost] == [OutputConflictError]
    for write in (keeper.confirm, lambda: keeper.commit(record(state=RunState.SUCCEEDED))):
        with pytest.raises(OutputConflictError):
            write()
    assert stored(store).run_id == "thief"


class Unavailable(MemoryStore):
    """Does not answer for a while."""

    down = False
    error: Exception = StorageUnavailableError("no answer")

    def write(self, uri: str, data: Any, *, if_version: str | None = None) -> str:
        if self.down:
            raise self.error
        return super().write(uri, data, if_version=if_version)


@pytest.mark.parametrize(
    "error",
    [StorageUnavailableError("no answer"), RuntimeError("can't start new thread")],
    ids=["away", "the limit of processes"],
)
def test_a_store_that_does_not_answer_for_a_while_ends_nothing(error: Exception) -> None:
    store = Unavailable(MemorySpace())
    store.error = error
    keeper, lost = taken(store)
    store.down = True
    time.sleep(0.3)
    before = store.read(URI).version
    store.down = False
    end = time.monotonic() + 30
    while store.read(URI).version == before and time.monotonic() < end:
        time.sleep(0.02)
    assert store.read(URI).version != before, "no heartbeat came any more"
    keeper.commit(record(state=RunState.SUCCEEDED))
    assert (lost, stored(store).state) == ([], RunState.SUCCEEDED)


def test_an_early_try_that_fails_in_any_way_leaves_the_place_to_a_later_one() -> None:
    store = Unavailable(MemorySpace())
    store.down, store.error = True, ValueError("as no store should")
    keeper, supervisor = OutputClaim(lambda _: store, URI, print), Supervisor(1.0)
    keeper.take_early(record())
    keeper.settle(supervisor)
    assert not keeper.held
    store.down = False
    keeper.take(record(), ABSENT)
    keeper.commit(record(state=RunState.SUCCEEDED))
    supervisor.close()
    assert stored(store).state is RunState.SUCCEEDED


class Unheard(Unavailable):
    """Takes what is written, and its answers are lost."""

    def write(self, uri: str, data: Any, *, if_version: str | None = None) -> str:
        version = MemoryStore.write(self, uri, data, if_version=if_version)
        if self.down:
            raise StorageUnavailableError("no answer")
        return version


def test_a_heartbeat_whose_answer_was_lost_loses_no_claim() -> None:
    store = Unheard(MemorySpace())
    keeper, lost = taken(store)
    store.down = True
    with pytest.raises(StorageUnavailableError):
        keeper.confirm()
    store.down = False
    keeper.confirm()
    store.down = True
    with pytest.raises(StorageUnavailableError):
        keeper.confirm()
    store.down = False
    keeper.commit(record(state=RunState.SUCCEEDED))
    assert (lost, stored(store).state) == ([], RunState.SUCCEEDED)


@pytest.mark.fault(67)
def test_a_claim_that_was_lost_stays_lost_whatever_comes_of_the_winner(store: MemoryStore) -> None:
    keeper, _ = taken(store)
    store.write(URI, encode(record("thief", claim=claim())))
    with pytest.raises(OutputConflictError):
        keeper.commit(record(state=RunState.CANCELLED))
    store.delete(URI)
    for write in (keeper.confirm, lambda: keeper.commit(record(state=RunState.CANCELLED))):
        with pytest.raises(OutputConflictError, match="the run thief"):
            write()
    assert store.stat(URI) is None


@pytest.mark.fault(67)
def test_what_follows_the_final_record_is_confirmed_while_that_is_in_its_place(store: MemoryStore) -> None:
    """A state that is still being saved, or a notebook, must not come after those of the next attempt."""
    keeper, lost = taken(store)
    keeper.commit(record(state=RunState.CANCELLED))
    version = store.read(URI).version
    keeper.confirm()
    assert store.read(URI).version == version
    store.write(URI, encode(record("mine", claim=claim())))
    with pytest.raises(OutputConflictError, match="has taken this output meanwhile"):
        keeper.confirm()
    assert lost == []


@pytest.mark.fault(67)
def test_a_final_record_that_may_not_have_arrived_confirms_nothing() -> None:
    store = Unavailable(MemorySpace())
    keeper, _ = taken(store)
    store.down = True
    with pytest.raises(StorageUnavailableError):
        keeper.commit(record(state=RunState.CANCELLED))
    store.down = False
    with pytest.raises(StorageUnavailableError, match="not known to have arrived"):
        keeper.confirm()
    assert stored(store).state is RunState.RUNNING


class Stuck(MemoryStore):
    """Takes its time with every write but the first, until it is let go."""

    def __init__(self) -> None:
        super().__init__(MemorySpace())
        self.asked, self.patience = threading.Event(), threading.Event()
        self.patience.set()

    def write(self, uri: str, data: Any, *, if_version: str | None = None) -> str:
        if if_version != ABSENT:
            self.asked.set()
            self.patience.wait(120)
        return super().write(uri, data, if_version=if_version)


def test_who_describes_the_run_does_not_wait_for_a_heartbeat_that_is_not_answered() -> None:
    store = Stuck()
    store.patience.clear()
    keeper, _ = taken(store)
    assert store.asked.wait(120), "there was no heartbeat"
    describing = threading.Thread(target=keeper.describe, args=(replace(record(), spec_digest="sha256:1"),))
    describing.start()
    describing.join(60)
    waits = describing.is_alive()
    store.patience.set()
    assert not waits
    keeper.confirm()
    assert stored(store).spec_digest == "sha256:1"
    keeper.commit(record(state=RunState.SUCCEEDED))


def test_a_claim_that_nobody_could_keep_alive_is_not_written(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    keeper, supervisor = OutputClaim(lambda _: store, URI, print), Supervisor(1.0)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        keeper.take_early(record())
        keeper.settle(supervisor)
    supervisor.close()
    assert (keeper.held, store.stat(URI)) == (False, None)
    keeper.take(record(), ABSENT)
    keeper.commit(record(state=RunState.SUCCEEDED))


def test_what_is_no_record_counts_as_none_and_is_replaced_at_its_version(store: MemoryStore) -> None:
    assert read_existing(store, URI) == Existing(None, ABSENT)
    version = store.write(URI, b"not a record")
    assert read_existing(store, URI) == Existing(None, version, sha256(b"not a record").hexdigest())
    keeper, _ = taken(store, version=version)
    keeper.commit(record(state=RunState.SUCCEEDED))


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED])
def test_an_ended_run_holds_nothing(store: MemoryStore, state: RunState) -> None:
    existing = Existing(record("other", state), "1")
    assert wait_until_free(store, URI, existing, "mine") is existing


def test_a_live_claim_of_another_run_is_a_conflict_at_once(store: MemoryStore) -> None:
    existing = Existing(record("other", claim=claim(lease_seconds=60)), "1")
    began = time.monotonic()
    with pytest.raises(OutputConflictError, match=r"the run other \(attempt 1\) holds this output"):
        wait_until_free(store, URI, existing, "mine")
    assert time.monotonic() - began < 30


def test_an_earlier_attempts_claim_is_waited_for_and_then_taken(store: MemoryStore) -> None:
    version = store.write(URI, encode(record(claim=claim())))
    began = time.monotonic()
    existing = wait_until_free(store, URI, read_existing(store, URI), "mine")
    assert time.monotonic() - began > 0.2
    assert existing.version == version


def test_an_earlier_attempt_that_still_lives_keeps_its_claim(store: MemoryStore) -> None:
    store.write(URI, encode(record(claim=claim(lease_seconds=5))))
    existing = read_existing(store, URI)
    store.write(URI, encode(record(claim=claim(token="new", lease_seconds=5))))  # noqa: S106 - a heartbeat
    with pytest.raises(OutputConflictError):
        wait_until_free(store, URI, existing, "mine")


def test_a_storage_that_was_away_is_no_silence_of_the_owner(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was longer away than the lease, and let the waiting one in before the owner's heartbeat."""
    store.write(URI, encode(record(claim=claim())))
    existing, read = read_existing(store, URI), store.read

    def read_late(uri: str) -> Blob:
        monkeypatch.setattr(store, "read", read)
        time.sleep(0.5)
        found = read(uri)
        store.write(URI, encode(record(claim=claim())))
        return found

    monkeypatch.setattr(store, "read", read_late)
    with pytest.raises(OutputConflictError):
        wait_until_free(store, URI, existing, "mine")


def test_an_earlier_attempt_that_ends_meanwhile_is_seen(store: MemoryStore) -> None:
    store.write(URI, encode(record(claim=claim(lease_seconds=5))))
    existing = read_existing(store, URI)
    store.write(URI, encode(record(state=RunState.SUCCEEDED)))
    found = wait_until_free(store, URI, existing, "mine")
    assert found.record is not None
    assert found.record.state is RunState.SUCCEEDED


def test_a_claim_that_vanishes_meanwhile_is_free(store: MemoryStore) -> None:
    store.write(URI, encode(record(claim=claim(lease_seconds=5))))
    existing = read_existing(store, URI)
    store.delete(URI)
    assert wait_until_free(store, URI, existing, "mine") == Existing(None, ABSENT)
    with pytest.raises(InputNotFoundError):
        store.read(URI)


def test_a_claim_that_looks_expired_is_taken_once_its_owner_was_silent_for_a_lease(store: MemoryStore) -> None:
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    store.write(URI, encode(record("other", claim=claim(heartbeat_at=old))))
    existing = read_existing(store, URI)
    assert wait_until_free(store, URI, existing, "mine") is existing
    store.write(URI, encode(record("other", claim=claim(heartbeat_at=old, token="beats"))))  # noqa: S106 - no secret
    with pytest.raises(OutputConflictError):  # its clock is wrong, or ours
        wait_until_free(store, URI, existing, "mine")


def test_a_claim_whose_time_cannot_be_read_is_alive(store: MemoryStore) -> None:
    odd = Existing(record("other", claim=claim(heartbeat_at="no time", lease_seconds=30)), "1")
    with pytest.raises(OutputConflictError):
        wait_until_free(store, URI, odd, "mine")


def test_an_owner_that_ran_here_and_is_gone_is_recognised(store: MemoryStore) -> None:
    gone = subprocess.Popen(["true"])
    own = claim(host=host_identity(), pid=os.getpid(), pid_started=started_at(os.getpid()), lease_seconds=60)
    gone.wait()
    dead = replace(own, pid=gone.pid, pid_started=12345)
    assert not owner_is_gone(own)
    assert owner_is_gone(dead)
    assert owner_is_gone(replace(own, pid_started=own.pid_started + 1))  # its pid is another process's by now
    assert not owner_is_gone(replace(dead, host=ELSEWHERE))
    assert not owner_is_gone(replace(dead, host=""))
    existing = Existing(record("other", claim=dead), "1")
    assert wait_until_free(store, URI, existing, "mine") is existing
