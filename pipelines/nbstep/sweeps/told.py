"""The runs of a sweep through a service, as the service tells of them, which has read their records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nbstep.backends.protocol import Status
from nbstep.backends.server.interface import SetOfSweep, Summary, SweepDetail, record_of
from nbstep_runner.contract import OUTPUT, RECORD, RunResult, decode
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import Store, join


class ToldRecords:
    """What :class:`nbstep.sweeps.records.SweepRecords` says of each run, from a service's answers.

    Args:
        ask: Asks the service.
        runs: The folder of the runs.
        store: Where their records are read whose values the service's answer has no room for.
    """

    def __init__(self, ask: Callable[[], SweepDetail], runs: str, store: Store) -> None:
        self._ask = ask
        self._runs = runs
        self._store = store
        self._last: SweepDetail | None = None
        self._given: tuple[SweepDetail, list[dict[str, Any]]] | None = None
        self._large: dict[str, tuple[Summary, RunResult]] = {}

    @property
    def _told(self) -> SweepDetail:
        if self._last is None:
            self._last = self._ask()
        return self._last

    @property
    def names(self) -> list[str]:
        """Of the runs, in the order of the sets."""
        return [each.name for each in self._told.sets]

    @property
    def sets(self) -> list[dict[str, Any]]:
        """What each set gives."""
        told = self._told
        if self._given is None or self._given[0] is not told:
            self._given = told, [self._values(each) for each in told.sets]
        return self._given[1]

    def look(self) -> list[int]:
        """Ask once more; the runs that stand otherwise than before."""
        before = () if self._last is None else self._last.sets
        self._last = self._ask()
        return [
            index
            for index, each in enumerate(self._last.sets)
            if each.run is not None and each not in before[index : index + 1]
        ]

    def record(self, index: int) -> RunResult | None:
        """A run's record in this sweep; ``None`` before it began."""
        told = self._told.sets[index]
        if told.run is None:
            return None
        stored = None if told.run.whole else self._stored(told.name, told.run)
        return stored or record_of(told.run, join(self._runs, f"{told.name}/{OUTPUT}"))

    def verdict(self, index: int, *, over: bool) -> RunResult | None:
        """The final record of a run, which the service has judged."""
        del over
        return self.record(index) if self._told.sets[index].ended else None

    def settle(self, status: Status) -> bool:
        """Whether each run has its verdict: the service gives them."""
        return status.cancelled or all(each.ended for each in self._told.sets)

    def _values(self, told: SetOfSweep) -> dict[str, Any]:
        """What a set gives; what its run was given, where the answer has no room for that."""
        stored = None if told.run is None or told.run.whole else self._stored(told.name, told.run)
        return told.parameters if stored is None else stored.parameters

    def _stored(self, name: str, told: Summary) -> RunResult | None:
        """The record itself, with all values; ``None`` where another lies there than the one that the service judged.

        It is read once as long as the service tells the same of the run.
        """
        if name not in self._large or self._large[name][0] != told:
            record = self._read(name, told)
            if record is None:
                return None
            self._large[name] = told, record
        return self._large[name][1]

    def _read(self, name: str, told: Summary) -> RunResult | None:
        try:
            record = decode(self._store.read(join(self._runs, f"{name}/{RECORD}")).data, RunResult)
        except (InputNotFoundError, BadInputError):
            return None
        if (record.state, record.ended_at) != (told.state, told.ended_at):
            return None
        return replace(record, output_uri=join(self._runs, f"{name}/{OUTPUT}"))
