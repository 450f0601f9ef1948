"""What came of a sweep: a row a run, and one exit code."""

from __future__ import annotations

import csv
import io
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from nbstep.errors import error_of
from nbstep_runner.contract import RunResult, RunState
from nbstep_runner.errors import ExitCode, InternalError, InterruptedRunError, NbstepError, TerminatedError

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
        """How it stands."""
        return self.result.state if self.result else RunState.PENDING

    @property
    def error(self) -> str:
        """What went wrong, in a sentence."""
        return self.result.error.message if self.result and self.result.error else ""

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
        parameters = _names(run.parameters for run in self.runs)
        results = _names(run.result.results for run in self.runs if run.result)
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        head = ["name", *(f"parameters.{name}" for name in parameters), "state", "exit_code", "seconds"]
        writer.writerow([*head, *(f"results.{name}" for name in results), "error", "output_uri"])
        for row in self.rows():
            cells = [row["name"], *(row["parameters"].get(name) for name in parameters), row["state"]]
            cells += [row["exit_code"], row["seconds"], *(row["results"].get(name) for name in results)]
            writer.writerow(map(_cell, [*cells, row["error"], row["output_uri"]]))
        return text.getvalue()


def _error_of(run: SweepRun) -> NbstepError:
    """What made a run fail; one that gives no reason is a fault of ours."""
    if run.result and run.result.error:
        return error_of(run.result.error)
    return InternalError(f"run {run.name} is {run.state}, and nothing says why", hint="Run the sweep again.")


def _names(mappings: Any) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _cell(value: Any) -> Any:
    """A field; a truth value as JSON has it, because that is how it is read back."""
    if isinstance(value, list | dict | bool):
        return msgspec.json.encode(value).decode()
    return value
