"""Chains: a few steps on this machine in the order of their data, for development. On a cluster the engine is KFP."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from itertools import count
from pathlib import Path, PurePath
from typing import Any, Final

from nbstep.backends.local.process import Child
from nbstep.errors import KINDS, error_of
from nbstep.steps.call import Call, check_called
from nbstep.steps.component import step_arguments
from nbstep.steps.reuse import KEPT, Earlier
from nbstep_runner.contract import DIGEST_INPUT, HTML, METRICS, NOTEBOOK, RunResult, Slot, decode
from nbstep_runner.errors import BadInputError, InternalError, OutputConflictError, StorageUnavailableError
from nbstep_runner.parameters import MISSING

LOG: Final = "step.log"
LOCK: Final = ".chain.lock"
RECORD: Final = "record.json"
INPUT: Final = "executor_input.json"
SOURCE: Final = "source.ipynb"
OWN: Final = {NOTEBOOK: "output.ipynb", HTML: "output.html", METRICS: "metrics.json"}
"""Where what every step has lies in its folder: the run's own notebook and page are the artifacts."""
OPTIONS: Final = ("--force", "--no-short-notice", "--log-format", "console")
"""Here a stopped step has the time to let its cell clean up."""


@dataclass(frozen=True, slots=True)
class Done:
    """A step of a chain that has succeeded.

    Attributes:
        name: The step's, with a number where it is not the first of that name.
        record: The run's.
        outputs: Results as values; artifacts, the executed notebook and its page among them, as paths.
        reused: It succeeded in an earlier chain.
    """

    name: str
    record: RunResult
    outputs: dict[str, Any]
    reused: bool = False


class Chained(dict[str, Done]):
    """The steps of a chain that have run, by name, in their order; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        from nbstep.views.runs_table import row_of, runs_table

        return runs_table([replace(row_of(done.record), name=name) for name, done in self.items()], title="Chain")


def chain(
    calls: Sequence[Call], folder: str | Path = "runs/chain", *, quiet: bool = False, force: bool = False
) -> Chained:
    """Run steps one after the other, each in a process of its own, until one fails.

    Everything that a step leaves is in a folder of its name below ``folder``. One that succeeded there before does not
    run again, as long as its notebook, its arguments and its outputs are what they were, and no step before it runs.
    Steps that the given ones depend on run too, named or not.

    Args:
        calls: Steps with their arguments.
        folder: Where runs and artifacts go.
        quiet: Keep each step's log in its folder only.
        force: Run every step, whatever succeeded before.

    Raises:
        NbstepError: A step failed: its own error, with a note that says where its notebook is. Later steps do not run.
        OutputConflictError: Another chain has a step of that name in the same folder, and has not ended.
        StorageUnavailableError: The folder takes nothing more.
        BadInputError: The steps wait for each other in a circle, or one has not been called.
    """
    check_called(calls)
    done: dict[Call, Done] = {}
    with ExitStack() as held:  # later steps read what earlier ones left
        for name, call in _named(_ordered(calls)):
            step = _Execution(call, name, Path(folder).absolute() / name, done)
            may_stand = not force and all(done[earlier].reused for earlier in call.earlier)
            held.enter_context(step.alone())
            done[call] = (step.reused(quiet=quiet) if may_stand else None) or step.run(quiet=quiet)
    return Chained({each.name: each for each in done.values()})


def _ordered(calls: Sequence[Call]) -> list[Call]:
    """Every call after those that it needs, otherwise in the order in which they were given."""
    sorter: TopologicalSorter[Call] = TopologicalSorter()
    waiting, seen = list(calls), set()
    while waiting:
        call = waiting.pop(0)
        if call not in seen:
            seen.add(call)
            sorter.add(call, *call.earlier)
            waiting.extend(call.earlier)
    try:
        return list(sorter.static_order())
    except CycleError as error:
        names = " -> ".join(call.step.name for call in error.args[1])
        raise BadInputError(
            f"steps wait for each other: {names}", hint="Take one .after() out of the circle."
        ) from None


def _named(calls: Sequence[Call]) -> Iterator[tuple[str, Call]]:
    """Each call with a name of its own: its step's, numbered where another has it."""
    taken: set[str] = set()
    for call in calls:
        own = call.step.name
        numbered = (own if number == 1 else f"{own}-{number}" for number in count(1))
        name = next(name for name in numbered if name not in taken)
        taken.add(name)
        yield name, call


class _Execution:
    """One step of a chain: what KFP would pass to its container, passed to a process."""

    def __init__(self, call: Call, name: str, folder: Path, done: Mapping[Call, Done]) -> None:
        self._call = call
        self._step = call.step
        self._name = name
        self._folder = folder
        self._done = done
        self._locks: tuple[int, ...] = ()
        _, go = call.step.slots(call.brought)
        self._artifacts = {
            name: folder / OWN.get(name, f"{name}{self._suffix(go.get(name))}") for name in call.step.outputs
        }
        self._input = {"inputs": self._inputs(), "outputs": self._places()}
        here = replace(self._step, runs=None, place=self._step.place or str(folder / SOURCE))
        self._arguments = [*step_arguments(here, self._call.brought), *OPTIONS]
        # The notebook's own digest is one of the inputs.
        left = [path.name for path in self._artifacts.values()]
        self._earlier = Earlier(folder, RECORD, left, [self._arguments, self._input])

    def _suffix(self, slot: Slot | None) -> str:
        """The extension that the notebook itself gives an artifact: that of the default of its parameter."""
        parameter = self._step.signature.get(slot.parameter) if slot and slot.parameter else None
        default = parameter.default if parameter else None
        return PurePath(default).suffix if isinstance(default, str) else ""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other chains away from the step's folder, where that can be locked.

        A runner has the lock too: one whose chain was killed goes on for a while.

        Raises:
            OutputConflictError: One is there.
        """
        with ExitStack() as held:
            with suppress(OSError):  # a filesystem without locks, or one that takes nothing, which the run tells of
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = held.enter_context((self._folder / LOCK).open("wb"))
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise OutputConflictError(
                        f"another chain has the step {self._name} in {self._folder}",
                        hint="Wait for its end, or give this chain another folder.",
                    ) from None
                self._locks = (lock.fileno(),)
                # Its runner has ended by then; what watched over that, and any fork of this process, has the lock too.
                held.callback(fcntl.flock, lock, fcntl.LOCK_UN)
            yield

    def reused(self, *, quiet: bool) -> Done | None:
        """What the step left when it succeeded before, if that still stands."""
        record = self._earlier.record()
        if record is None:
            return None
        if not quiet:
            os.write(1, f"step {self._name} is not run again: it succeeded at {record.ended_at}\n".encode())
        return Done(self._name, record, self._outputs(record), reused=True)

    def run(self, *, quiet: bool) -> Done:
        with self._taken():
            self._prepare()
        code = self._child(quiet=quiet)
        record = self._record()
        if code == 0 and record is not None:
            self._earlier.keep()
            return Done(self._name, record, self._outputs(record))
        raise self._failure(code, record)

    @contextmanager
    def _taken(self) -> Iterator[None]:
        """Tell of a folder that does not take what is written there."""
        try:
            yield
        except OSError as error:
            raise StorageUnavailableError(
                f"{self._folder} does not take what the step {self._name} leaves: {error.strerror or error}",
                hint="Free some space there, or give the chain another folder.",
            ) from error

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in (*self._artifacts.values(), self._folder / RECORD, self._folder / KEPT):
            _remove(path)
        (self._folder / INPUT).write_text(json.dumps(self._input))
        (self._folder / SOURCE).write_bytes(self._step.source.data)

    def _child(self, *, quiet: bool) -> int:
        arguments = ["kfp-step", "--executor-input-file", str(self._folder / INPUT), *self._arguments]
        with Child(arguments, descriptors=self._locks) as child, closing(self._logged(child.lines())) as lines:
            for line in lines:
                if not quiet:
                    os.write(1, line)
            return child.wait()

    def _logged(self, lines: Iterator[bytes]) -> Generator[bytes]:
        """The lines, each as it goes to the step's log."""
        with self._taken(), (self._folder / LOG).open("wb") as log:
            for line in lines:
                log.write(line)
                yield line

    def _record(self) -> RunResult | None:
        file = self._folder / RECORD
        return decode(file.read_bytes(), RunResult) if file.exists() else None

    def _failure(self, code: int, record: RunResult | None) -> Exception:
        if record is not None and record.error is not None:
            error = error_of(record.error)
        else:
            kind = next((one for one in KINDS.values() if one.exit_code == code), InternalError)
            error = kind(
                f"step {self._name} ended with the code {code}", hint=f"Its log says why: {self._folder / LOG}"
            )
        error.add_note(f"step {self._name} failed; everything that it left is in {self._folder}")
        return error

    def _inputs(self) -> dict[str, Any]:
        values = {
            name: one.default
            for name, one in self._step.parameters(self._call.brought).items()
            if one.default is not MISSING
        }
        values |= {DIGEST_INPUT: self._step.source.digest} | self._call.constants
        artifacts: dict[str, Any] = {}
        for name, output in self._call.connected.items():
            value = self._done[output.call].outputs[output.name]
            if output.artifact is None:
                values[name] = value
            else:
                artifacts[name] = {"artifacts": [{"name": output.name, "uri": value}]}
        return {"parameterValues": values, "artifacts": artifacts}

    def _places(self) -> dict[str, Any]:
        return {
            "outputFile": str(self._folder / "executor_output.json"),
            "parameters": {
                name: {"outputFile": str(self._folder / "results" / f"{name}.txt")} for name in self._step.results
            },
            "artifacts": {
                name: {"artifacts": [{"name": name, "uri": str(path)}]} for name, path in self._artifacts.items()
            },
        }

    def _outputs(self, record: RunResult) -> dict[str, Any]:
        results = {name: record.results[name] for name in self._step.results}
        return results | {name: str(path) for name, path in self._artifacts.items()}


def _remove(path: Path) -> None:
    """What an earlier chain left must not pass for what this one leaves."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
