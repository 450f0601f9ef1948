"""A sweep as a table: a row for each set, read from the records that its runs have left, and from its plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote

from nbstep.runs.history import read_run
from nbstep.server.folders import RunFolder, is_set_name
from nbstep.server.problems import not_found
from nbstep.server.summaries import has_room
from nbstep.submission.places import PLAN
from nbstep.sweeps.outcome import Sweep, SweepRun
from nbstep.views.table import sort_key
from nbstep_runner.contract import OUTPUT, RECORD, RunResult, RunState, SweepSpec, decode
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import Store, join

AT_ONCE: Final = 32
MOST_COLUMNS: Final = 60
ENDED_BADLY: Final = (RunState.FAILED, RunState.LOST, RunState.CANCELLED)
MISSING: Final = sort_key(None)
NAME, STATE, SECONDS, PARAMETER, RESULT = "name", "state", "seconds", "parameter.", "result."
"""By what a table is ordered: one of the first three, or the name of a parameter or a result behind its prefix."""


@dataclass(frozen=True, slots=True)
class SweepTable:
    """The runs of a sweep.

    Attributes:
        sweep: As far as its records tell.
        left_out: How many runs were not read.
        shared: The parameters that all runs have alike.
        parameters: The names of the others, which head columns.
        results: The names of what was found, which do too.
    """

    sweep: Sweep
    left_out: int
    shared: dict[str, Any]
    parameters: tuple[str, ...]
    results: tuple[str, ...]

    def ordered(self, by: str, *, descending: bool, failures_first: bool) -> list[SweepRun]:
        """The rows in order; by nothing, the best first, where it is known what is best. What is missing comes last."""
        if by:
            keyed = [(sort_key(_value(run, by)), run) for run in self.sweep.runs]
            there = [each for each in keyed if each[0] != MISSING]
            there.sort(key=lambda each: each[0], reverse=descending)
            runs = [run for _, run in there] + [run for key, run in keyed if key == MISSING]
        else:
            runs = self.sweep.best_first() if self.sweep.metric else list(self.sweep.runs)
        return sorted(runs, key=lambda run: run.state not in ENDED_BADLY) if failures_first else runs


def sweep_table(group: RunFolder, most: int) -> SweepTable:
    """The table of a group of runs.

    Args:
        group: Where they are.
        most: How many records are read.

    Raises:
        Problem: There are no runs there.
        NbstepError: The folder cannot be listed or read.
    """
    records: dict[str, str] = {}
    sets: dict[str, dict[str, Any]] = {}
    for stat in group.store.list(group.prefix):
        name, _, rest = unquote(stat.uri.removeprefix(group.prefix)).partition("/")
        if rest == RECORD:
            records[name] = stat.uri
        elif rest == PLAN:
            sets |= _sets(group.store, stat.uri)
    if not records and not sets:
        raise not_found(f"sweep {group.name[:80]!r}")
    names = list(dict.fromkeys([*sets, *sorted(records)]))
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-sweep") as pool:
        read = pool.map(lambda name: _record(group.store, records.get(name)), names[:most])
        runs = [
            SweepRun(
                name=name,
                parameters=sets.get(name) or (record.parameters if record else {}),
                output_uri=join(group.prefix, f"{name}/{OUTPUT}"),
                result=record,
            )
            for name, record in zip(names, read, strict=False)
        ]
    parameters = _names(run.parameters for run in runs)
    shared = {name: runs[0].parameters[name] for name in parameters if len(runs) > 1 and _is_shared(name, runs)}
    return SweepTable(
        sweep=Sweep(runs=tuple(runs)),
        left_out=len(names) - len(runs),
        shared=shared,
        parameters=tuple(name for name in parameters if name not in shared),
        results=tuple(_names(run.result.results for run in runs if run.result)),
    )


def _record(store: Store, uri: str | None) -> RunResult | None:
    """What a row shows of a run's record: a large one must not take the room of a thousand others."""
    record = None if uri is None else read_run(store, uri)
    if record is None:
        return None
    kept = replace(record, cells=(), files=(), warnings=())
    return kept if has_room(kept.parameters, kept.results, kept.labels) else replace(kept, parameters={}, results={})


def _sets(store: Store, plan: str) -> dict[str, dict[str, Any]]:
    """The parameters of each set of a plan, by the name of its folder; none where the plan is damaged."""
    with suppress(InputNotFoundError, BadInputError):
        spec = decode(store.read(plan).data, SweepSpec)
        names = (each.output_uri.rpartition("/")[0].rpartition("/")[2] for each in spec.specs)
        return {name: values for name, values in zip(names, spec.sets, strict=False) if is_set_name(name)}
    return {}


def _names(mappings: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))[:MOST_COLUMNS]


def _is_shared(name: str, runs: Sequence[SweepRun]) -> bool:
    return all(name in run.parameters and run.parameters[name] == runs[0].parameters.get(name) for run in runs)


def _value(run: SweepRun, by: str) -> Any:
    if by in (NAME, STATE):
        return run.name if by == NAME else str(run.state)
    record = run.result
    if by == SECONDS:
        return record.seconds if record else None
    if by.startswith(PARAMETER):
        return run.parameters.get(by.removeprefix(PARAMETER))
    return record.results.get(by.removeprefix(RESULT)) if record and by.startswith(RESULT) else None
