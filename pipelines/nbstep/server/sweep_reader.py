"""Sweeps read from the records that their runs have left and from their plans; what has ended is read once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote

from nbstep.runs.history import read_run
from nbstep.server.folders import RunFolder, is_set_name
from nbstep.server.index_rows import has_room
from nbstep.server.problems import not_found
from nbstep.server.sweep_table import SweepTable
from nbstep.sweeps.outcome import SweepRun
from nbstep_runner.contract import OUTPUT, PLAN, RECORD, ErrorInfo, RunResult, RunState, SweepSpec, decode, encode
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import Stat, Store, join

AT_ONCE: Final = 32
"""How many records of one configured folder are read at once."""
KEPT_BYTES: Final = 2**24
"""How much of what is shown of records that do not change any more is kept in memory, as JSON."""
Sets = dict[str, dict[str, Any]]
"""The parameters of each set of a plan, by the name of its folder."""
Plan = tuple[Stat, Sets]
"""The object that holds a plan, and the plan's sets."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a row shows of a run's record: a large one must not take the room of a thousand others.

    Attributes:
        whole: Whether the parameters and results are there.
    """

    record: RunResult
    whole: bool

    @classmethod
    def of(cls, record: RunResult) -> Shown:
        """Of a whole record."""
        error = record.error
        brief = error and ErrorInfo(reference=error.reference, message=error.message, hint=error.hint)
        told = replace(record, error=brief, cells=(), files=(), warnings=(), left_behind=None, environment=None)
        if has_room(record.parameters, record.results, record.labels):
            return cls(told, whole=True)
        return cls(replace(told, parameters={}, results={}, labels={}), whole=False)


class SweepReader:
    """Reads sweeps as tables; for threads.

    A table that is looked at again and again, while its sweep goes on, costs a listing and the records that changed.

    Args:
        most: How many records are read for one table.
        kept_bytes: How much is kept of those that will not change, the ones that were used last.
    """

    def __init__(self, most: int, kept_bytes: int = KEPT_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, str], tuple[Shown, int]] = OrderedDict()
        self._room = kept_bytes
        self._lock = threading.Lock()
        self._pools: dict[str, ThreadPoolExecutor] = {}

    def table(self, group: RunFolder) -> SweepTable:
        """The table of a group of runs.

        Raises:
            Problem: There are no runs there.
            NbstepError: The folder cannot be listed or read.
        """
        records, plans = _found(group)
        sets = {name: values for _, own in plans.values() for name, values in own.items()}
        if not records and not sets:
            raise not_found(f"sweep {group.name[:80]!r}")
        names = list(dict.fromkeys([*sets, *sorted(records)]))
        read = self._pool(group).map(lambda name: self._record(group.store, records.get(name)), names[: self._most])
        shown = dict(zip(names, read, strict=False))
        runs = [
            SweepRun(
                name=name,
                parameters=sets.get(name) or (row.record.parameters if row else {}),
                output_uri=join(group.prefix, f"{name}/{OUTPUT}"),
                result=row.record if row else None,
            )
            for name, row in shown.items()
        ]
        cut = frozenset(name for name, row in shown.items() if row and not row.whole)
        return SweepTable.of(runs, len(names) - len(runs), cut, _unfinished(plans, records, runs))

    def _pool(self, group: RunFolder) -> ThreadPoolExecutor:
        """The threads of a configured folder: where one's store is slow, the tables of others do not wait for it."""
        with self._lock:
            if group.top not in self._pools:
                self._pools[group.top] = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"nbstep-sweep-{group.top}")
            return self._pools[group.top]

    def _record(self, store: Store, stat: Stat | None) -> Shown | None:
        if stat is None:
            return None
        with self._lock:
            found = self._kept.get((stat.uri, stat.version))
            if found is not None:
                self._kept.move_to_end((stat.uri, stat.version))
                return found[0]
        record = read_run(store, stat.uri)
        if record is None:
            return None
        shown = Shown.of(record)
        if record.state.final and record.state is not RunState.LOST:  # one that looks lost may show signs of life again
            self._keep(stat, shown)
        return shown

    def _keep(self, stat: Stat, shown: Shown) -> None:
        size = len(encode(shown.record))
        with self._lock:
            if (stat.uri, stat.version) not in self._kept:
                self._kept[stat.uri, stat.version] = shown, size
                self._room -= size
            while self._room < 0:
                _, (_, size) = self._kept.popitem(last=False)
                self._room += size


def _found(group: RunFolder) -> tuple[dict[str, Stat], dict[str, Plan]]:
    """The records of a group's runs and the plans of its sweeps, by the names of their folders."""
    records: dict[str, Stat] = {}
    plans: dict[str, Plan] = {}
    for stat in group.store.list(group.prefix):
        name, _, rest = unquote(stat.uri.removeprefix(group.prefix)).partition("/")
        if rest == RECORD:
            records[name] = stat
        elif rest == PLAN:
            plans[name] = stat, _sets(group.store, stat.uri)
    return records, plans


def _unfinished(plans: dict[str, Plan], records: Collection[str], runs: list[SweepRun]) -> tuple[str, ...]:
    """The sweeps of which a run has not ended, the last started first: each start writes the plan.

    Of a run whose record there is, but was not read for this table, nothing is known that keeps its sweep here.
    """
    unread = set(records) - {run.name for run in runs}
    ended = unread | {run.name for run in runs if run.state.final}
    begun = sorted(plans, key=lambda name: plans[name][0].modified or 0.0, reverse=True)
    return tuple(name for name in begun if not plans[name][1].keys() <= ended)


def _sets(store: Store, plan: str) -> Sets:
    """The sets of a plan; none where it is damaged."""
    with suppress(InputNotFoundError, BadInputError):
        spec = decode(store.read(plan).data, SweepSpec)
        names = (each.output_uri.rpartition("/")[0].rpartition("/")[2] for each in spec.specs)
        return {name: values for name, values in zip(names, spec.sets, strict=False) if is_set_name(name)}
    return {}
