"""A sweep as a table: a row for each set, in the order that somebody asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nbstep.sweeps.outcome import Sweep, SweepRun
from nbstep.views.table import sort_key
from nbstep_runner.contract import RunState

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
        cut: The names of the runs whose parameters and results are too large to be shown.
        unfinished: The names of the sweeps that were started there and have runs that have not ended, the last started
            first.
    """

    sweep: Sweep
    left_out: int
    shared: dict[str, Any]
    parameters: tuple[str, ...]
    results: tuple[str, ...]
    cut: frozenset[str]
    unfinished: tuple[str, ...]

    @classmethod
    def of(
        cls, runs: Sequence[SweepRun], left_out: int, cut: frozenset[str], unfinished: tuple[str, ...]
    ) -> SweepTable:
        """The table of these runs; the rest as of the class."""
        parameters = _names(run.parameters for run in runs)
        shared = {name: runs[0].parameters[name] for name in parameters if len(runs) > 1 and _is_shared(name, runs)}
        return cls(
            sweep=Sweep(runs=tuple(runs)),
            left_out=left_out,
            shared=shared,
            parameters=tuple(name for name in parameters if name not in shared),
            results=tuple(_names(run.result.results for run in runs if run.result)),
            cut=cut,
            unfinished=unfinished,
        )

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
