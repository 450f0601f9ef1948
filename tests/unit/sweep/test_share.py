"""What each process of a sweep takes, on a store with every promise kept: exactly one verdict a run, whatever dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbstep_runner.contract import Claim, ErrorInfo, RunResult, RunSpec, RunState, SweepSpec, SweepTurn, decode, encode
from nbstep_runner.errors import NbstepError, OutputConflictError, StorageUnavailableError, TerminatedError, UsageError
from nbstep_runner.session import results
from nbstep_runner.session.claim import LEASE_SECONDS
from nbstep_runner.session.earlier import read_existing, refuse_changed
from nbstep_runner.stores import Blob, Source, Stat
from nbstep_runner.stores.memory import Habit, MemorySpace, MemoryStore
from nbstep_runner.sweep.share import LOOK_SECONDS, Portion, Share

FOLDER = "memory://runs/sweep"
PLAN = f"{FOLDER}/home/sweep.json"
ELSEWHERE = "another-boot/pid:[1]"
STEP_SECONDS = 6.0
LAST_STEP = 1000


def plan_of(count: int, retries: int = 2) -> SweepSpec:
    specs = [RunSpec(run_id=f"n-{n}", input_uri="in", output_uri=f"{FOLDER}/n={n}/output.ipynb") for n in range(count)]
    return SweepSpec(specs=tuple(specs), jobs=2, retries=retries)


def place(index: int) -> str:
    return f"{FOLDER}/n={index}/output.result.json"


class OwnNames(MemoryStore):
    """Names versions in its own way, as a client of a WebDAV server does once it was told a weak one."""

    def read(self, uri: str) -> Blob:
        blob = super().read(uri)
        return replace(blob, version=f"own-{blob.version}")

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        condition = if_version.removeprefix("own-") if if_version else if_version
        return f"own-{super().write(uri, data, if_version=condition)}"

    def list(self, uri: str) -> Iterator[Stat]:
        return (replace(stat, version=f"own-{stat.version}") for stat in super().list(uri))


class World:
    """A store, a clock, and what the runs of all processes do to both."""

    def __init__(self, plan: SweepSpec, habits: tuple[Habit, ...] = ()) -> None:
        self.plan = plan
        self.now = 1000.0
        self.space = MemorySpace()
        self.habits = habits
        self.store.write(PLAN, encode(plan))
        self.ends: Counter[int] = Counter()

    @property
    def store(self) -> MemoryStore:
        """As the runs see it."""
        return MemoryStore(self.space, habits=self.habits)

    def share(self, index: int = 0, of: int = 1) -> Share:
        store = OwnNames(self.space, habits=self.habits)
        return Share(self.plan, PLAN, store, Portion(index, of), clock=lambda: self.now)

    def record(self, index: int) -> RunResult | None:
        return read_existing(self.store, place(index)).record

    def claim(self, turn: SweepTurn, token: str) -> str:
        """As a run does it."""
        assert turn.index is not None
        existing = read_existing(self.store, place(turn.index))
        refuse_changed(existing, turn.digest)
        before = None if turn.outdated else existing.record
        claim = Claim(
            token=token,
            host=ELSEWHERE,
            pid=1,
            pid_started=1,
            heartbeat_at=datetime.now(UTC).isoformat(),
            lease_seconds=LEASE_SECONDS,
            tries=existing.tries + 1 if before else 1,
        )
        blank = results.blank(self.plan.specs[turn.index])
        failures = before.failures if before else 0
        record = replace(blank, state=RunState.RUNNING, claim=claim, failed_before=failures)
        return self.store.write(place(turn.index), encode(record), if_version=existing.version)

    def write(self, index: int, record: RunResult, version: str | None = None) -> str:
        self.ends[index] += record.state is RunState.SUCCEEDED
        return self.store.write(place(index), encode(record), if_version=version)

    def final(self, index: int, error: NbstepError | None = None) -> RunResult:
        blank = results.blank(self.plan.specs[index])
        return results.failed(blank, error) if error else replace(blank, state=RunState.SUCCEEDED, exit_code=0)


@dataclass
class Process:
    """One process of the sweep: what it runs by the version of the run's claim, and for how many steps still."""

    world: World
    share: Share
    name: str
    running: dict[int, tuple[str, int]] = field(default_factory=dict)

    def step(self, random: Random, poison: set[int]) -> bool:
        """Whether it lives; it has ended where it has nothing to do any more."""
        self._go_on()
        if any(index in poison for index in self.running) and random.random() < 0.7:
            return False
        while len(self.running) < self.world.plan.jobs and (turn := self.share.next()):
            assert turn.index is not None
            try:
                version = self.world.claim(turn, f"{self.name}-{turn.index}-{self.world.now}")
            except OutputConflictError as error:
                self.share.ended(turn.index, self.world.final(turn.index, error))
                break
            self.running[turn.index] = version, random.randint(1, 12)
        return True

    def _go_on(self) -> None:
        for index, (version, steps) in list(self.running.items()):
            if steps:
                record = self.world.record(index)
                assert record is not None
                assert record.claim is not None
                beat = replace(record, claim=replace(record.claim, heartbeat_at=datetime.now(UTC).isoformat()))
                self.running[index] = self.world.write(index, beat, version), steps - 1
            else:
                del self.running[index]
                self.world.write(index, self.world.final(index), version)
                self.share.ended(index, self.world.final(index))

    @property
    def over(self) -> bool:
        return not self.running and self.share.over


@pytest.mark.fault(61)
@settings(deadline=None, max_examples=30)
@given(
    random=st.randoms(use_true_random=False),
    count=st.integers(1, 14),
    processes=st.integers(1, 4),
    poison=st.sets(st.integers(0, 13), max_size=2),
    kills=st.integers(0, 2),
)
def test_every_run_gets_one_verdict_whatever_dies(
    random: Random, count: int, processes: int, poison: set[int], kills: int
) -> None:
    world = World(plan_of(count, retries=2))
    living = {index: Process(world, world.share(index, processes), f"p{index}") for index in range(processes)}
    for step in range(LAST_STEP):
        world.now += STEP_SECONDS
        for index, process in list(living.items()):
            struck = kills > 0 and random.random() < 0.1
            kills -= struck
            if struck or not process.step(random, poison):  # a pod that died is replaced, and finds its claims
                living[index] = Process(world, world.share(index, processes), f"p{index}-{step}")
            elif process.over:
                del living[index]
        if not living:
            break
    assert not living, "the sweep does not end"
    states = {index: record.state if (record := world.record(index)) else None for index in range(count)}
    assert {index for index, state in states.items() if state is RunState.SUCCEEDED} >= set(range(count)) - poison
    assert all(state in (RunState.SUCCEEDED, RunState.LOST) for state in states.values()), states
    assert all(world.ends[index] == (state is RunState.SUCCEEDED) for index, state in states.items()), world.ends


def test_a_process_that_is_done_goes_on_with_what_others_have_not_begun() -> None:
    world = World(plan_of(6))
    share = world.share(0, 3)
    taken = []
    while turn := share.next():
        assert turn.index is not None
        taken.append(turn.index)
        world.write(turn.index, world.final(turn.index))
        share.ended(turn.index, world.final(turn.index))
        world.now += LOOK_SECONDS * 2
    assert taken[:2] == [0, 3]
    assert sorted(taken) == list(range(6))
    assert share.over


def test_without_conditional_writes_each_keeps_to_its_share() -> None:
    world = World(plan_of(6), habits=(Habit.LATE_CHECKS,))
    share = world.share(1, 3)
    assert not share.takes_others
    taken = []
    while turn := share.next():
        assert turn.index is not None
        taken.append(turn.index)
        share.ended(turn.index, world.final(turn.index))
    assert (taken, share.over) == ([1, 4], True)


def test_what_was_there_before_the_sweep_is_left_to_the_run_to_judge_and_what_came_since_is_a_verdict() -> None:
    world = World(plan_of(2))
    world.write(0, world.final(0))
    world.store.write(PLAN, encode(world.plan))
    world.write(1, world.final(1, NbstepError("it failed")))
    share = world.share()
    assert share.next() == SweepTurn(index=0, digest=read_existing(world.store, place(0)).digest, outdated=True)
    share.ended(0, world.final(0))
    world.now += 2 * LOOK_SECONDS
    assert share.next() is None
    assert share.over


@dataclass
class Turns:
    """What living processes make of runs that always end in the same way."""

    world: World
    error: NbstepError

    def make(self, *shares: Share) -> int:
        """How many attempts they make, in turn, until nothing is left to them."""
        made = 0
        while not all(share.over for share in shares):
            self.world.now += 2 * LOOK_SECONDS
            for share in shares:
                if (turn := share.next()) is not None and turn.index is not None:
                    version = self.world.claim(turn, f"{made}")
                    running = self.world.record(turn.index)
                    assert running is not None
                    ended = results.failed(running, self.error)
                    self.world.write(turn.index, ended, version)
                    share.ended(turn.index, ended)
                    made += 1
        return made


@pytest.mark.fault(61)
def test_processes_together_repeat_a_run_from_which_storage_is_away_no_more_often_than_one() -> None:
    world = World(plan_of(5, retries=2))
    away = Turns(world, StorageUnavailableError("away"))
    assert away.make(*(world.share(index, 3) for index in range(3))) == 5 * 3
    records = [world.record(index) for index in range(5)]
    assert {record.failures for record in records if record} == {3}
    assert away.make(world.share()) == 0  # a pod that begins anew repeats none either
    assert all(world.plan.is_verdict(record) for record in records if record)


def test_what_failed_before_the_sweep_does_not_count_against_its_retries() -> None:
    world = World(plan_of(2, retries=2))
    away = Turns(world, StorageUnavailableError("away"))
    assert away.make(world.share()) == 2 * 3
    world.store.write(PLAN, encode(world.plan))
    assert away.make(world.share(0, 2), world.share(1, 2)) == 2 * 3


def test_a_run_that_was_stopped_is_made_again_by_whoever_lives_and_that_is_no_failure() -> None:
    world = World(plan_of(1, retries=0))
    for _ in range(3):
        turn = world.share().next()
        assert turn is not None
        assert (turn.index, turn.outdated) == (0, False)
        version = world.claim(turn, "evicted")
        running = world.record(0)
        assert running is not None
        world.write(0, results.failed(running, TerminatedError("evicted")), version)
    assert Turns(world, StorageUnavailableError("away")).make(world.share()) == 1


def test_one_that_stops_whatever_it_runs_in_ends_nothing_else() -> None:
    world = World(plan_of(1, retries=2))
    assert Turns(world, TerminatedError("by itself")).make(world.share()) == 3


def test_a_store_that_gives_and_does_not_take_ends_the_process_though_an_old_record_lies_there() -> None:
    world = World(plan_of(1, retries=1))
    world.write(0, world.final(0, StorageUnavailableError("away")))
    world.store.write(PLAN, encode(world.plan))
    share = world.share()
    for _ in range(2):
        turn = share.next()
        assert turn is not None
        share.ended(0, world.final(0, StorageUnavailableError("full")))
    with pytest.raises(StorageUnavailableError, match="no record"):
        share.next()


class FoundOut(MemoryStore):
    """Promises conditions once a write had one, as S3 does where the server is not Amazon's."""

    def __init__(self, space: MemorySpace) -> None:
        super().__init__(space)
        self.conditional_write = False

    def write(self, uri: str, data: Source, *, if_version: str | None = None) -> str:
        self.conditional_write |= if_version is not None
        return super().write(uri, data, if_version=if_version)


def test_a_store_that_is_found_out_by_a_write_is_shared() -> None:
    world = World(plan_of(6))
    assert Share(world.plan, PLAN, FoundOut(world.space), Portion(1, 3)).takes_others


def test_a_living_claim_is_waited_for_and_a_dead_one_taken_alone() -> None:
    world = World(plan_of(2))
    world.claim(SweepTurn(index=0), "other")
    share = world.share()
    assert share.next() == SweepTurn(index=1)
    assert share.next() is None
    world.now += LEASE_SECONDS + 10
    assert share.next() is None  # something runs beside it
    share.ended(1, world.final(1))
    turn = share.next()
    assert turn is not None
    assert (turn.index, turn.digest) == (0, read_existing(world.store, place(0)).digest)
    assert share.next() is None


@pytest.mark.fault(61)
def test_a_storage_that_was_away_is_no_silence_of_those_who_hold_runs() -> None:
    world = World(plan_of(1))
    world.claim(SweepTurn(index=0), "other")
    store = world.store
    share = Share(world.plan, PLAN, store, Portion(), clock=lambda: world.now)
    assert share.next() is None
    listing = store.list

    def list_late(uri: str) -> Iterator[Stat]:
        world.now += 4 * LEASE_SECONDS
        return listing(uri)

    store.list = list_late  # type: ignore[method-assign]  # waits
    world.now += LEASE_SECONDS / 2
    assert share.next() is None
    store.list = listing  # type: ignore[method-assign]  # answers again
    world.now += LEASE_SECONDS / 2 - 1
    assert share.next() is None
    world.now += LEASE_SECONDS / 2
    turn = share.next()
    assert turn is not None
    assert turn.index == 0


def test_a_run_that_ends_without_a_record_again_and_again_ends_the_process() -> None:
    world = World(plan_of(1, retries=1))
    share = world.share()
    for _ in range(2):
        assert share.next() == SweepTurn(index=0)
        share.ended(0, world.final(0, StorageUnavailableError("away")))
    with pytest.raises(StorageUnavailableError, match="no record"):
        share.next()


def test_one_listing_and_one_read_for_each_record_that_has_changed() -> None:
    world = World(plan_of(50))
    for index in range(50):
        world.write(index, world.final(index))
    reads = Counter[str]()
    store = world.store
    read, listing = store.read, store.list
    share = Share(world.plan, PLAN, store, Portion(0, 1), clock=lambda: world.now)
    store.read = lambda uri: (reads.update(["read"]), read(uri))[1]  # type: ignore[method-assign]  # counted
    store.list = lambda uri: (reads.update(["list"]), listing(uri))[1]  # type: ignore[method-assign]  # counted
    share.look()
    share.look()
    assert reads == {"list": 2, "read": 50}


@pytest.mark.parametrize("text", ["", "1", "a/2", "2/2", "-1/2", "1/"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no share"):
        Portion.parse(text)


def test_what_a_lost_run_leaves_says_why() -> None:
    world = World(plan_of(1, retries=0))
    world.claim(SweepTurn(index=0), "other")
    share = world.share()
    assert share.next() is None
    world.now += LEASE_SECONDS + 10
    assert share.next() is None
    record = decode(world.store.read(place(0)).data, RunResult)
    assert isinstance(record.error, ErrorInfo)
    assert (record.state, record.exit_code, record.claim) == (RunState.LOST, 70, None)
    assert "killed" in record.error.message
    assert share.over
