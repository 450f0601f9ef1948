"""What came of a sweep: a row a run, and one exit code."""

from __future__ import annotations

import csv
import io
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import msgspec

from nbstep.errors import error_of
from nbstep_runner.contract import RunResult, RunState
from nbstep_runner.errors import ExitCode, InternalError, InterruptedRunError, NbstepError, TerminatedError, UsageError
from nbstep_runner.nonfinite import is_number

if TYPE_CHECKING:
    from nbstep.views.runs_table import Row

LOWEST_IS_BEST: Final = re.compile(
    r"loss(es)?|logloss|crossentropy|err(ors?)?|r?mse|r?msle|mae|medae|s?mape|rmspe|brier|hinge|deviance|nll|[ab]ic|"
    r"[wce]er|fid|perplexity|seconds?|secs?|ms|times?|duration|latency|costs?|(?!up)[a-z]+time|[a-z]+(loss|mse|mape)"
)
"""Words of a result's name by which its lowest value is the best."""
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
STOPPED: Final = {signal.SIGINT: ExitCode.INTERRUPTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRun:
    """One run of a sweep.

    Attributes:
        name: Of its folder.
        parameters: The values that are the set's own.
        output_uri: Where its executed notebook is, or would be.
        result: Its record; ``None`` where it was not started.
    """

    name: str
    parameters: dict[str, Any]
    output_uri: str
    result: RunResult | None = None

    @property
    def state(self) -> RunState:
        """The state of its record; ``pending`` without one."""
        return self.result.state if self.result else RunState.PENDING

    @property
    def error(self) -> str:
        """What went wrong, in a sentence."""
        return self.result.error.message if self.result and self.result.error else ""

    def table_row(self) -> Row:
        """Its row in a table of runs."""
        from nbstep.views.runs_table import Row

        return Row(
            name=self.name,
            state=self.state,
            parameters=self.parameters,
            seconds=self.result.seconds if self.result else None,
            results=self.result.results if self.result else {},
            error=self.error,
        )

    def _repr_html_(self) -> str:
        from nbstep.views.runs_table import runs_table

        return runs_table([self.table_row()], title="Run of a sweep")

    def row(self) -> dict[str, Any]:
        """What JSON shows of it."""
        result = self.result
        return {
            "name": self.name,
            "parameters": self.parameters,
            "state": str(self.state),
            "exit_code": result.exit_code if result else None,
            "seconds": result.seconds if result else None,
            "results": result.results if result else {},
            "error": self.error or None,
            "output_uri": self.output_uri,
            "log_uri": result.log_uri if result else None,
        }


Listener = Callable[[int, SweepRun], None]
"""Called with a run's place in the order when it begins (its ``result`` is ``None``) and when it has ended."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A result by which runs are compared.

    Attributes:
        lowest: The lowest value is the best.
    """

    name: str
    lowest: bool

    @classmethod
    def named(cls, name: str) -> Metric:
        """The result of a name, whose words say whether it is one to keep low."""
        return cls(name, lowest=any(LOWEST_IS_BEST.fullmatch(word.lower()) for word in _WORDS.findall(name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """All runs of a sweep, in the order of their parameter sets.

    Attributes:
        stopped_by: The signal that stopped the sweep before every run had been made.
    """

    runs: tuple[SweepRun, ...]
    stopped_by: signal.Signals | None = None

    def __iter__(self) -> Iterator[SweepRun]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def failed(self) -> tuple[SweepRun, ...]:
        """The runs that did not succeed, those that were not started among them."""
        return tuple(run for run in self.runs if run.state is not RunState.SUCCEEDED)

    @property
    def exit_code(self) -> int:
        """0 only if every run succeeded.

        A sweep that was stopped ends with 130 or 143; any other with the code of the first run, in the order of the
        parameter sets, that did not succeed.
        """
        if not self.failed:
            return int(ExitCode.SUCCEEDED)
        if self.stopped_by:
            return int(STOPPED.get(self.stopped_by, ExitCode.TERMINATED))
        first = self.failed[0].result
        return int(ExitCode.INTERNAL if first is None or first.exit_code is None else first.exit_code)

    @property
    def metric(self) -> Metric | None:
        """The first result that is a number in every run that succeeded; ``None`` if there is none.

        What is called a loss, an error, a time or a cost is best where it is lowest, anything else where it is highest.
        """
        done = [run.result.results for run in self.runs if run.result and run.state is RunState.SUCCEEDED]
        names = (name for name in (done[0] if done else {}) if all(is_number(each.get(name)) for each in done))
        return next(map(Metric.named, names), None)

    def best_first(self, by: str | None = None, *, lowest: bool | None = None) -> list[SweepRun]:
        """The runs, the best first; those that failed or have no such number come last, in the order of their sets.

        Args:
            by: A result's name; :attr:`metric` if left out.
            lowest: Whether the lowest is the best; by the result's name if left out.

        Raises:
            UsageError: No result is a number.
        """
        metric = self.metric if by is None else Metric.named(by)
        if metric is None:
            raise UsageError("the runs have no result that is a number", hint="Report one: result('loss', loss).")
        sign = 1 if (metric.lowest if lowest is None else lowest) else -1

        def place(run: SweepRun) -> tuple[bool, float]:
            value = _number(run, metric.name)
            return (True, 0.0) if value is None else (False, sign * value)

        return sorted(self.runs, key=place)

    def best(self, by: str | None = None, *, lowest: bool | None = None) -> SweepRun:
        """The first of :meth:`best_first`.

        Raises:
            UsageError: No result is a number, or no run that succeeded has it.
        """
        ranked = [run for run in self.best_first(by, lowest=lowest) if by is None or _number(run, by) is not None]
        if not ranked:
            raise UsageError(
                f"no run that succeeded has the result {by} as a number", hint="Name one that the notebook reports."
            )
        return ranked[0]

    def to_frame(self) -> Any:
        """A pandas ``DataFrame`` with a row a run, by name: parameters, state, seconds, results, error, output.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            pandas: Any = import_module("pandas")
        except ImportError:
            raise UsageError("a DataFrame needs pandas", hint="Install it: pip install pandas.") from None
        fixed = {"name", "state", "seconds", "error", "output_uri"}
        parameters, _ = columns(self.runs)
        rows = [
            {"name": row["name"]}
            | _apart("parameters", row["parameters"], fixed)
            | {"state": row["state"], "seconds": row["seconds"]}
            | _apart("results", row["results"], fixed.union(parameters))
            | {"error": row["error"], "output_uri": row["output_uri"]}
            for row in self.rows()
        ]
        return pandas.DataFrame(rows).set_index("name")

    def _repr_html_(self) -> str:
        from nbstep.views.runs_table import plots, runs_table

        metric = self.metric
        rows = [run.table_row() for run in (self.best_first() if metric else self.runs)]
        said = f"{len(self.runs) - len(self.failed)} of {len(self.runs)} runs succeeded"
        if metric:
            said += f"; the best first, by {escape(metric.name)}: the {'lowest' if metric.lowest else 'highest'}"
        shown = runs_table(rows, title="Runs of the sweep", named=False)
        return f"<p>{said}</p>{shown}<div>{plots(rows, metric.name) if metric else ''}</div>"

    def check(self) -> None:
        """Raise what made the sweep fail, if it did: the error that :attr:`exit_code` is the code of.

        Raises:
            NbstepError: Such as ``CellFailedError``, with the cell's traceback as a note.
        """
        if not self.failed:
            return
        if self.stopped_by:
            kind = InterruptedRunError if self.stopped_by is signal.SIGINT else TerminatedError
            done = len(self.runs) - len(self.failed)
            raise kind(f"the sweep was stopped; {done} of {len(self.runs)} runs have succeeded")
        first = self.failed[0]
        error = _error_of(first)
        error.add_note(f"{len(self.failed)} of {len(self.runs)} runs failed; this is the first, {first.name}")
        raise error

    def rows(self) -> list[dict[str, Any]]:
        """What JSON shows: a mapping for each run."""
        return [run.row() for run in self.runs]

    def csv(self) -> str:
        """The same as CSV: a column for each parameter and result; lists and mappings as JSON."""
        parameters, results = columns(self.runs)
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        head = ["name", *(f"parameters.{name}" for name in parameters), "state", "exit_code", "seconds"]
        writer.writerow([*head, *(f"results.{name}" for name in results), "error", "output_uri"])
        for row in self.rows():
            cells = [row["name"], *(row["parameters"].get(name) for name in parameters), row["state"]]
            cells += [row["exit_code"], row["seconds"], *(row["results"].get(name) for name in results)]
            writer.writerow(map(_cell, [*cells, row["error"], row["output_uri"]]))
        return text.getvalue()


def _number(run: SweepRun, name: str) -> float | None:
    """A result of a run that succeeded; ``None`` where it is no number."""
    value = run.result.results.get(name) if run.result and run.state is RunState.SUCCEEDED else None
    return value if is_number(value) else None


def _apart(kind: str, values: dict[str, Any], taken: set[str]) -> dict[str, Any]:
    """Values by columns of a frame; one whose name another column has is called after its kind."""
    return {f"{kind}.{name}" if name in taken else name: value for name, value in values.items()}


def _error_of(run: SweepRun) -> NbstepError:
    """What made a run fail; one that gives no reason is a fault of ours."""
    if run.result and run.result.error:
        return error_of(run.result.error)
    return InternalError(f"run {run.name} is {run.state}, and nothing says why", hint="Run the sweep again.")


def columns(runs: Sequence[SweepRun]) -> tuple[list[str], list[str]]:
    """The names of all parameters and of all results, each once."""
    parameters = dict.fromkeys(name for run in runs for name in run.parameters)
    results = dict.fromkeys(name for run in runs if run.result for name in run.result.results)
    return list(parameters), list(results)


def _cell(value: Any) -> Any:
    """A field; a truth value as JSON has it, because that is how it is read back."""
    if isinstance(value, list | dict | bool):
        return msgspec.json.encode(value).decode()
    return value
