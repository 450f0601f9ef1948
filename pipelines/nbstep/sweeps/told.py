"""The runs of a sweep through a service, as far as the service tells of them; it has read their records itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbstep.backends.protocol import Status
from nbstep.backends.server.interface import SweepDetail, record_of
from nbstep_runner.contract import OUTPUT, RunResult
from nbstep_runner.stores import join


class ToldRecords:
    """What :class:`nbstep.sweeps.records.SweepRecords` says of each run, from a service's answers.

    Args:
        ask: Asks the service.
        runs: The folder of the runs.
    """

    def __init__(self, ask: Callable[[], SweepDetail], runs: str) -> None:
        self._ask = ask
        self._runs = runs
        self._last: SweepDetail | None = None

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
        return [each.parameters for each in self._told.sets]

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
        return None if told.run is None else record_of(told.run, join(self._runs, f"{told.name}/{OUTPUT}"))

    def verdict(self, index: int, *, over: bool) -> RunResult | None:
        """The final record of a run, which the service has judged."""
        del over
        return self.record(index) if self._told.sets[index].ended else None

    def settle(self, status: Status) -> bool:
        """Whether each run has its verdict: the service gives them."""
        return status.cancelled or all(each.ended for each in self._told.sets)
