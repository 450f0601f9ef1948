"""Which runs of a sweep one of several processes makes: its own share first, then what the others have not begun.

No process asks another one. How far they are is told by the records in storage alone: a run with a final record has
its verdict, one with a living claim is somebody's, and every other can be taken, by the claim that each run takes
anyway. Where the store has no conditional writes a claim may be won twice, so each process keeps to its own share.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final
from urllib.parse import unquote

from nbstep_runner.contract import (
    RECORD_ENDING,
    Claim,
    RunResult,
    RunState,
    SweepSpec,
    SweepTurn,
    encode,
    records_among,
)
from nbstep_runner.errors import InternalError, NbstepError, OutputConflictError, StorageUnavailableError, UsageError
from nbstep_runner.session import results
from nbstep_runner.session.earlier import SLACK_SECONDS, Existing, owner_is_gone, read_existing
from nbstep_runner.session.places import Places
from nbstep_runner.stores import ABSENT, Stat, Store, join

FRESH_SECONDS: Final = 5.0
"""How old what is known of the others may be while there is something to take."""
LOOK_SECONDS: Final = 1.0
"""The same once there is nothing."""
AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Portion:
    """One of several equal shares, counted from 0."""

    index: int = 0
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Portion:
        """What ``3/8`` says.

        Raises:
            UsageError: It is no share.
        """
        index, slash, of = text.partition("/")
        if not slash or not index.isdecimal() or not of.isdecimal() or int(index) >= int(of):
            raise UsageError(f"{text!r} is no share of a sweep", hint="It is INDEX/COUNT, counted from 0, such as 3/8.")
        return cls(int(index), int(of))


@dataclass(frozen=True, slots=True)
class _Held:
    """A claim that was seen.

    Attributes:
        existing: What was at its record's place.
        since: When it was last seen to change, on the share's clock of silence.
        proven: It has been seen to change: its owner was alive then.
        earlier: It was last changed before this sweep began.
    """

    record: RunResult
    claim: Claim
    existing: Existing
    since: float
    proven: bool
    earlier: bool

    def is_dead(self, now: float) -> bool:
        silent = now - self.since > self.claim.lease_seconds + SLACK_SECONDS
        return silent or owner_is_gone(self.claim)


class Share:
    """What one process of a sweep may begin, as far as it knows.

    A run whose process died without a verdict is made again by itself, with nothing beside it: so one that kills
    whatever it runs in takes no other with it a second time, and is found out. After the plan's ``retries`` it gets a
    verdict, ``lost``. So often is a run made again that ended because storage was away, too: its record counts the
    attempts of all processes. One that was stopped is made again by whoever lives.

    Args:
        plan: The sweep.
        plan_uri: Where it lies: in a folder below that of all runs. It is written when the sweep begins.
        store: Of the sweep.
        portion: Which share is this process's own.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        plan: SweepSpec,
        plan_uri: str,
        store: Store,
        portion: Portion,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._store = store
        self._clock = clock
        self._plan_name = "/".join(plan_uri.split("/")[-2:])
        self._folder = join(plan_uri.removesuffix(self._plan_name), "")
        self._records = [Places.of(spec).record for spec in plan.specs]
        self._names = [unquote(uri).split("/")[-2] for uri in self._records]
        self._own = range(portion.index, len(plan.specs), portion.of)
        self._others = [index for index in range(len(plan.specs)) if index % portion.of != portion.index]
        Random(portion.index).shuffle(self._others)  # noqa: S311 - so that two that help seldom reach for the same run
        self.takes_others = has_conditions(store, f"{plan_uri}.conditions-{portion.index}")
        if not self.takes_others:
            self._others.clear()
        self._left = {*self._own, *self._others}
        self._open: dict[int, SweepTurn] = {}
        self._held: dict[int, _Held] = {}
        self._running: set[int] = set()
        self._alone = False
        self._made: Counter[int] = Counter()
        self._listed: dict[int, tuple[str, float | None]] = {}
        self._looked = -math.inf
        self._asking = 0.0
        self._due = True

    @property
    def _silence(self) -> float:
        """A clock that stands still while storage is asked.

        While it does not answer here it may not answer the owners of claims either: that is no silence of theirs.
        """
        return self._clock() - self._asking

    def next(self) -> SweepTurn | None:
        """A run to begin now; ``None`` while there is none.

        Raises:
            NbstepError: Storage does not tell how far the others are, or has taken no verdict of a run.
        """
        if self._alone:
            return None
        turn = self._known()
        if self._due or self._clock() - self._looked > (FRESH_SECONDS if turn else LOOK_SECONDS):
            self.look()
            turn = self._known()
        if turn is not None and turn.index is not None:
            self._open.pop(turn.index, None)
            self._running.add(turn.index)
            self._made[turn.index] += 1
            held = self._held.pop(turn.index, None)
            self._alone = held is not None and not held.earlier
        return turn

    @property
    def over(self) -> bool:
        """Whether nothing is left to do: every run has its verdict, or an owner that has shown to be alive."""
        now = self._silence
        seen = (self._held.get(index) for index in self._left)
        return not self._running and all(held and held.proven and not held.is_dead(now) for held in seen)

    def ended(self, index: int, result: RunResult) -> None:
        """Note what came of a run that was begun here; of any but a success storage has to say so too."""
        self._running.discard(index)
        self._alone = False
        if result.state is RunState.SUCCEEDED:
            self._left.discard(index)
            return
        self._due = True
        if result.error is not None and result.error.reference == OutputConflictError.reference:
            self._made[index] -= 1  # it was another's

    def look(self) -> None:
        """Learn how far the others are: one listing, and one read for each record that has changed."""
        first, began, silence = self._looked == -math.inf, self._clock(), self._silence
        stats, begun = records_among(self._store.list(self._folder), self._folder, self._plan_name, RECORD_ENDING)
        wanted = self._scope()
        changed = []
        for index in wanted:
            stat = stats.get(self._names[index])
            if stat is None and not self._made[index]:
                self._held.pop(index, None)
                self._open[index] = SweepTurn(index=index)
            elif stat is None or _state(stat) != self._listed.get(index) or self._is_unsettled(index):
                changed.append(index)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-look") as pool:
            found = pool.map(lambda index: read_existing(self._store, self._records[index]), changed)
            for index, existing in zip(changed, found, strict=True):
                stat = stats.get(self._names[index])
                if stat is not None:
                    self._listed[index] = _state(stat)
                known = stat is not None and stat.modified is not None and begun is not None
                earlier = stat.modified < begun if known else first  # type: ignore[union-attr,operator]  # known
                self._note(index, existing, silence, earlier=earlier)
        self._looked, self._due = self._clock(), False
        self._asking += self._looked - began

    def _scope(self) -> list[int]:
        """The runs to look at: the own ones and those that were made here; all once no own one is left to begin."""
        there = self._left - self._running
        mine = [index for index in self._own if index in there]
        if self._looked == -math.inf or not self._open.keys().isdisjoint(mine):
            return [*mine, *(index for index in there.difference(mine) if self._made[index])]
        return [*mine, *(index for index in self._others if index in there)]

    def _is_unsettled(self, index: int) -> bool:
        """Whether nothing is known of a run but that it ended here."""
        return index not in self._open and index not in self._held

    def _note(self, index: int, existing: Existing, silence: float, *, earlier: bool) -> None:
        """Take in what lies at a record's place.

        Args:
            index: Whose.
            existing: What lies there.
            silence: The time of this look.
            earlier: It lies there since before this sweep began.
        """
        record, claim, before = existing.record, existing.claim, self._held.pop(index, None)
        self._open.pop(index, None)
        if record is not None and claim is not None:
            same = before if before is not None and before.claim.token == claim.token else None
            proven = same is not None and (same.proven or same.existing.digest != existing.digest)
            unmoved = same is not None and same.existing.digest == existing.digest
            since = same.since if same is not None and unmoved else silence
            self._held[index] = _Held(record, claim, existing, since, proven, earlier)
            return
        told = record if record is not None and record.state.final and not earlier else None
        tired = self._made[index] > self._plan.retries
        if told is None and tired:
            raise StorageUnavailableError(f"the run {self._names[index]} has ended, and storage has no record of it")
        if told is not None and (tired or self._plan.is_verdict(told)):
            self._left.discard(index)
        else:
            self._open[index] = SweepTurn(index=index, digest=existing.digest, outdated=earlier)

    def _known(self) -> SweepTurn | None:
        """What can be begun by what is known: what nobody has begun, then what was abandoned."""
        for index in (*self._own, *self._others):
            if index in self._open:
                return self._open[index]
        return next(self._abandoned(), None)

    def _abandoned(self) -> Iterator[SweepTurn]:
        now = self._silence
        for index, held in list(self._held.items()):
            if index in self._running or not held.is_dead(now):
                continue
            if held.earlier:
                yield SweepTurn(index=index, digest=held.existing.digest, outdated=True)
            elif held.claim.tries > self._plan.retries:
                self._give_up(index, held)
            elif not self._running:
                yield SweepTurn(index=index, digest=held.existing.digest)

    def _give_up(self, index: int, held: _Held) -> None:
        """Write the verdict of a run that none of its processes survived."""
        error = InternalError(
            f"its process was killed {held.claim.tries} times, the last time with nothing beside it",
            hint="A run that needs more memory than its pod has is the usual cause: raise resources.memory.",
        )
        verdict = results.lost(held.record, error)
        with suppress(OutputConflictError):  # another process has said so, or has taken it
            self._store.write(self._records[index], encode(verdict, indent=1), if_version=held.existing.version)
        del self._held[index]
        self._left.discard(index)


def _state(stat: Stat) -> tuple[str, float | None]:
    """What differs once a record was written again, be it as it was: a run that has already ended does so."""
    return stat.version, stat.modified


def has_conditions(store: Store, uri: str) -> bool:
    """Whether a store checks conditions itself, which some know after a write only: one to a place of one's own."""
    with suppress(OutputConflictError):
        store.write(uri, b"", if_version=ABSENT)
    with suppress(NbstepError):
        store.delete(uri)
    return store.conditional_write
