"""How the sweeps of a group stand: those that go on are found, and no place is asked or waited for in vain."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

import pytest

from nbstep.backends.memory import MemoryBackend
from nbstep.backends.protocol import Phase, Status
from nbstep.errors import ClusterUnavailableError
from nbstep.profiles.storage import store_of
from nbstep.server import standings
from nbstep.server.folders import RunFolders
from nbstep.server.standings import AT_ONCE, MOST_ASKED, Standings
from nbstep.submission.find import Submitted
from nbstep_runner.contract import PLAN, RunSpec, StorageOptions, SweepSpec, encode
from support.service import config

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAMES = tuple(f"n-{number:02}" for number in range(MOST_ASKED + 4))
"""Of sweeps, the last started first."""


class World:
    """Two folders with groups of sweeps, of which a place says what a test has it say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        uris = {name: f"memory://{secrets.token_hex(4)}/runs" for name in ("team", "other")}
        members = {name: {"uri": uri, "profiles": ["small"]} for name, uri in uris.items()}
        self.folders = RunFolders(config(folders=members, profiles={"small": {"on": "memory"}}))
        self.asked: list[str] = []
        self.say: Callable[[str], Status] = lambda _: Status(phase=Phase.RUNNING, words="it runs")
        monkeypatch.setattr(MemoryBackend, "statuses", self._statuses)
        monkeypatch.setattr(standings, "FRESH_SECONDS", 1e6)
        for uri in uris.values():
            for group in range(AT_ONCE + 1):
                self._start(f"{uri}/g{group}", NAMES if group == 0 else NAMES[:1])

    def _start(self, group: str, names: Sequence[str]) -> None:
        store = store_of(group, StorageOptions())
        plan = encode(
            SweepSpec(
                specs=(RunSpec(run_id="r", input_uri="", output_uri=f"{group}/n=1/output.ipynb"),),
                jobs=1,
                sets=({"n": 1},),
            )
        )
        for name in names:
            store.write(f"{group}/{name}/{PLAN}", plan)
            sent = Submitted(handle=f"memory://{name}", on="memory", submitted_at="", image=None, sweep=True)
            store.write(f"{group}/{name}/submission.json", encode(sent))

    def _statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        self.asked += handles
        return {handle: self.say(handle.removeprefix("memory://")) for handle in handles}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def running(*names: str) -> Callable[[str], Status]:
    """What a place says that has ended, and forgotten, all others."""
    return lambda name: Status(phase=Phase.RUNNING if name in names else Phase.GONE, words=f"of {name}")


def test_those_that_go_on_are_found_behind_those_that_were_cancelled(world: World) -> None:
    world.say = running(NAMES[5], NAMES[9], NAMES[-1])
    found = Standings().of(world.folders.named("team"), "g0", NAMES)
    assert [(each.path, each.words) for each in found.started[:2]] == [
        (f"g0/{name}", f"of {name}") for name in (NAMES[5], NAMES[9])
    ]
    assert [each.goes_on for each in found.started] == [True, True, False]
    assert (found.answered, found.over, len(world.asked)) == (True, False, MOST_ASKED)


def test_no_more_are_asked_than_are_told(world: World) -> None:
    found = Standings().of(world.folders.named("team"), "g0", NAMES)
    assert ([each.name for each in found.started], len(world.asked)) == ([*NAMES[:3]], 3)


def test_once_all_have_ended_that_is_asked_anew_since_one_may_be_started_again(world: World) -> None:
    world.say = running()
    looked = Standings()
    assert looked.of(world.folders.named("team"), "g0", NAMES[:2]).over
    world.say = running(NAMES[0])
    assert not looked.of(world.folders.named("team"), "g0", NAMES[:2]).over


def test_what_no_profile_of_the_folder_has_started_may_go_on(world: World) -> None:
    world.say = running()
    found = Standings().of(world.folders.named("team"), "g0", ("here", NAMES[0]))
    assert ([each.name for each in found.started], found.over) == ([NAMES[0]], False)


def test_where_a_place_does_not_answer_no_other_sweep_is_asked(world: World) -> None:
    def away(_: str) -> Status:
        raise ClusterUnavailableError("the cluster does not answer")

    world.say = away
    found = Standings().of(world.folders.named("team"), "g0", NAMES)
    assert [(each.words, each.goes_on) for each in found.started] == [("the cluster does not answer", False)]
    assert (len(world.asked), found.over) == (1, False)


def test_a_slow_place_keeps_no_page_and_few_threads_and_is_asked_once_for_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    team, names, answers = world.folders.named("team"), NAMES[:1], threading.Event()

    def slowly(_: str) -> Status:
        assert answers.wait(120)
        return Status(phase=Phase.RUNNING, words="it runs")

    world.say, looked = slowly, Standings()
    monkeypatch.setattr(standings, "PATIENCE_SECONDS", 0.0)
    groups = [f"g{number}" for number in range(AT_ONCE + 1)] * 2
    assert not any(looked.of(team, group, names).answered for group in groups)
    assert not looked.of(world.folders.named("other"), "g0", names).answered
    answers.set()
    monkeypatch.setattr(standings, "PATIENCE_SECONDS", 120.0)
    found = [looked.of(team, group, names) for group in groups[:AT_ONCE] * 2]
    assert all(each.answered and each.started[0].words == "it runs" for each in found)
    assert looked.of(world.folders.named("other"), "g0", names).answered
    assert len(world.asked) == AT_ONCE + 1, "each group that could be asked about, and of the other folder one"
    looked.forget(team, "g0")
    assert looked.of(team, "g0", names).answered
    assert len(world.asked) == AT_ONCE + 2


def test_while_a_place_is_slow_it_is_told_what_it_said_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standings, "FRESH_SECONDS", 0.0)
    team, answers, looked = world.folders.named("team"), threading.Event(), Standings()
    before = looked.of(team, "g0", NAMES[:1])

    def slowly(_: str) -> Status:
        assert answers.wait(120)
        return Status(phase=Phase.GONE)

    world.say = slowly
    monkeypatch.setattr(standings, "PATIENCE_SECONDS", 0.0)
    meanwhile = looked.of(team, "g0", NAMES[:1])
    answers.set()
    assert (meanwhile.started, meanwhile.answered, meanwhile.over) == (before.started, False, False)
