"""The order of cells on a kernel that does what it is asked: what it is sent, and when, beside what is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nbstep_runner.contract import CellFinished, CellStarted, CellState, Event, OutputLimits
from nbstep_runner.engine import cells, metadata
from nbstep_runner.engine.cell_run import CellContext
from nbstep_runner.engine.document import Document
from nbstep_runner.engine.execute import Execution, Executor, Rules
from nbstep_runner.engine.outputs import OutputBudget
from nbstep_runner.engine.recorder import LITTLE_OUTPUT, Recorder
from nbstep_runner.engine.stall import StallWatch
from nbstep_runner.errors import ExitCode, TerminatedError
from nbstep_runner.kernel.kernel import Kernel, Received
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.kernel.usage import ProcessUsage
from nbstep_runner.kernel.wire import Message
from nbstep_runner.masking import Masker
from nbstep_runner.supervisor import Supervisor
from support.notebooks import Cell, Code, Text, notebook


@dataclass
class ObedientKernel:
    """Prints what a cell says; ``1 / 0`` raises. ``told`` gets what it is sent."""

    told: list[str]
    last_sign_of_life: float = 0.0
    process: Any = field(
        default_factory=lambda: SimpleNamespace(usage=ProcessUsage(0), spec=SimpleNamespace(language="python"))
    )
    interrupted: bool = False

    def __post_init__(self) -> None:
        self._sent: list[tuple[str, str]] = []
        self._count = 0

    def request(self, _: str, content: dict[str, Any], *_metadata: object) -> str:
        self._count += 1
        self.told.append(f"sent {content['code']}")
        self._sent.append((f"r{self._count}", content["code"]))
        return f"r{self._count}"

    def interrupt(self) -> None:
        self.interrupted = True

    def wait(self, seconds: float | None) -> Received:
        assert self._sent, f"nothing is under way, and {seconds} s are waited"
        request, code = self._sent.pop(0)
        failed = code == "1 / 0" or self.interrupted
        error = {"ename": "ZeroDivisionError", "evalue": "", "traceback": []}
        printed = Message("error", request, error) if failed else Message("stream", request, {"text": code})
        idle = Message("status", request, {"execution_state": "idle"})
        reply = {"status": "error", **error} if failed else {"status": "ok"}
        return Received(iopub=(printed, idle), shell=(Message("execute_reply", request, reply),))  # noqa: S604 - a channel of that name


class Notebook:
    """A notebook run on such a kernel; ``told`` is what happens, in order."""

    def __init__(self, folder: Path, *sources: Cell) -> None:
        self.told: list[str] = []
        self.plain = notebook(sources)
        metadata.begin_notebook(self.plain)
        self.supervisor = Supervisor(grace=2)
        self.document = Document(self.plain, folder)
        self.recorder = Recorder(self.document, OutputBudget(OutputLimits(), "log"), Masker(()), self.tell)
        self.kernel = ObedientKernel(self.told)

    def tell(self, event: Event) -> None:
        if isinstance(event, CellStarted):
            self.told.append(f"started {event.index}")
        if isinstance(event, CellFinished):
            self.told.append(f"{event.record.state} {event.record.index}")

    def run(self, *, allow_errors: bool = False) -> Execution:
        kernel = cast("Kernel", self.kernel)
        around = CellContext(
            kernel=kernel,
            recorder=self.recorder,
            supervisor=self.supervisor,
            stall=StallWatch(kernel, None),
            tick=lambda _: None,
            cell_seconds=None,
            run_deadline=None,
            short_notice=False,
        )
        rules = Rules(allow_errors=allow_errors, strict_shell=False, selection=cells.Selection())
        return Executor(self.document, around, MemoryWatch.start(), self.tell, rules).run()

    def states(self, execution: Execution) -> list[CellState]:
        return [record.state for record in execution.cells]


def test_the_kernel_has_the_next_cell_before_one_that_succeeded_is_recorded(tmp_path: Path) -> None:
    run = Notebook(tmp_path, "a", Text("between"), "b", "", Code("c", tags=(cells.SKIP,)), "d")
    execution = run.run()
    assert execution.exit_code is ExitCode.SUCCEEDED
    assert run.told == [
        *("sent a", "started 0", "sent b", "succeeded 0", "started 2", "succeeded 2", "started 3", "succeeded 3"),
        *("sent d", "started 5", "succeeded 5"),
    ]


@pytest.mark.parametrize("first", ["1 / 0", Code("1 / 0", tags=(cells.MAY_RAISE,)), "x" * (LITTLE_OUTPUT + 1)])
def test_after_a_cell_that_raised_or_printed_much_the_next_is_sent_in_its_turn(tmp_path: Path, first: Cell) -> None:
    run = Notebook(tmp_path, first, "b")
    run.run(allow_errors=True)
    assert run.told.index("started 0") < run.told.index("sent b") - 1


def test_a_failed_cells_successors_are_not_sent(tmp_path: Path) -> None:
    run = Notebook(tmp_path, "a", "1 / 0", "c")
    execution = run.run()
    assert run.states(execution) == [CellState.SUCCEEDED, CellState.FAILED, CellState.NOT_RUN]
    assert [told for told in run.told if told.startswith("sent")] == ["sent a", "sent 1 / 0"]


def test_a_stop_while_a_cell_is_recorded_interrupts_the_next_which_the_kernel_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Notebook(tmp_path, "a", "b", "c")
    tell = run.tell

    def stop(event: Event) -> None:
        tell(event)
        if isinstance(event, CellFinished):
            run.supervisor.abort(TerminatedError("stopped"))

    monkeypatch.setattr(run, "tell", stop)
    execution = run.run()
    assert run.states(execution) == [CellState.SUCCEEDED, CellState.INTERRUPTED, CellState.NOT_RUN]
    assert run.kernel.interrupted
    assert execution.exit_code is ExitCode.TERMINATED


def test_a_fault_of_ours_while_a_cell_is_recorded_calls_the_next_neither_finished_nor_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Notebook(tmp_path, "a", "b", "c")

    def end(_: int) -> None:
        raise MemoryError

    monkeypatch.setattr(run.recorder, "end", end)
    execution = run.run()
    assert run.states(execution) == [CellState.FAILED, CellState.FAILED, CellState.NOT_RUN]
    assert execution.exit_code is ExitCode.INTERNAL
