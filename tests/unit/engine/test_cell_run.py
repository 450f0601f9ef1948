"""One cell on a kernel that plays a script: replies, silence, death and deafness come exactly when they are told to."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from nbstep_runner.contract import CellState, OutputLimits
from nbstep_runner.engine import cell_run, metadata, watches
from nbstep_runner.engine.cell_run import CellContext, CellOutcome, CellRun
from nbstep_runner.engine.document import Document
from nbstep_runner.engine.outputs import OutputBudget
from nbstep_runner.engine.recorder import Recorder
from nbstep_runner.engine.watches import StallWatch
from nbstep_runner.errors import TerminatedError
from nbstep_runner.kernel.kernel import Kernel, Received
from nbstep_runner.kernel.usage import ProcessUsage
from nbstep_runner.kernel.wire import Message
from nbstep_runner.masking import Masker
from nbstep_runner.supervisor import Supervisor
from support.notebooks import notebook

REQUEST = "r1"
QUESTION = "r2"


@dataclass
class ScriptedProcess:
    """Notes the signals that it gets; ``dies_of`` ends it."""

    dies_of: signal.Signals | None = None
    signals: list[str] = field(default_factory=list)
    usage: ProcessUsage = field(default_factory=lambda: ProcessUsage(0))
    dead: bool = False

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number.name)
        self.dead = self.dead or number == self.dies_of


@dataclass
class ScriptedKernel:
    """Says what its script holds: each entry is a pause in seconds, then what is heard; after it, silence."""

    script: Sequence[tuple[float, Received]] = ()
    process: ScriptedProcess = field(default_factory=ScriptedProcess)
    answers_interrupt: Received | None = None
    last_sign_of_life: float = 0.0
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = list(self.script)
        self._due = time.monotonic() + self._next[0][0] if self._next else 0.0

    def request(self, kind: str, *_: object) -> str:
        self.asked.append(kind)
        return REQUEST if kind == "execute_request" else QUESTION

    def interrupt(self) -> None:
        self.process.signals.append("interrupt")
        if self.answers_interrupt:
            self._next = [(0.0, self.answers_interrupt)]
            self._due = time.monotonic()

    def ping(self) -> None:
        """Nobody answers."""

    def wait(self, seconds: float | None) -> Received:
        until = time.monotonic() + (0.01 if seconds is None else min(seconds, 0.01))
        time.sleep(max(0.0, until - time.monotonic()))
        if self.process.dead:
            return Received(died=True)
        if not self._next or time.monotonic() < self._due:
            return Received()
        _, heard = self._next.pop(0)
        self._due = time.monotonic() + (self._next[0][0] if self._next else 0.0)
        return heard


def text(printed: str) -> Received:
    return Received(iopub=(Message("stream", REQUEST, {"name": "stdout", "text": printed}),))


def status(state: str) -> Received:
    return Received(iopub=(Message("status", REQUEST, {"execution_state": state}),))


def reply(result: str = "ok") -> Received:
    return Received(shell=(Message("execute_reply", REQUEST, {"status": result}),))  # noqa: S604 - a channel of that name


@dataclass(frozen=True)
class Outcome:
    ending: CellOutcome
    printed: str
    seconds: float


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"IDLE": 0.2, "GONE": 0.3, "INTERRUPT": 0.2, "TERM": 0.1}.items():
        monkeypatch.setattr(cell_run, f"{name}_SECONDS", seconds)
    monkeypatch.setattr(watches, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(watches, "ANSWER_SECONDS", 1.0)


def play(kernel: ScriptedKernel, folder: Path, **how: Any) -> Outcome:
    """Run the one cell of a notebook on that kernel."""
    plain = notebook(["pass"])
    metadata.begin_notebook(plain)
    document = Document(plain, folder)
    recorder = Recorder(document, OutputBudget(OutputLimits(), "log"), Masker(()), lambda _: None)
    supervisor = how.pop("supervisor", None) or Supervisor(grace=2)
    real = cast("Kernel", kernel)
    around = CellContext(
        kernel=real,
        recorder=recorder,
        supervisor=supervisor,
        stall=StallWatch(real, how.pop("stall", None)),
        tick=lambda _: None,
        cell_seconds=how.pop("cell_seconds", None),
        run_deadline=how.pop("run_deadline", None),
        short_notice=how.pop("short_notice", False),
    )
    metadata.begin_cell(document.cells[0])
    began = time.monotonic()
    ending = CellRun(around, 0, document.cells[0]).run()
    took = time.monotonic() - began
    recorder.end(0)
    printed = "".join("".join(output["text"]) for output in document.reopen(0)["outputs"])
    return Outcome(ending, printed, took)


def test_a_cell_ends_when_it_has_replied_and_is_idle(tmp_path: Path) -> None:
    for script in (
        [(0, text("a")), (0, reply()), (0, status("idle"))],
        [(0, text("a")), (0, status("idle")), (0.05, reply())],
    ):
        outcome = play(ScriptedKernel(script), tmp_path)
        assert (outcome.ending.reply, outcome.ending.cut, outcome.ending.died) == ({"status": "ok"}, None, False)
        assert outcome.printed == "a"


def test_output_that_waited_is_read_to_its_end_however_long_that_takes(tmp_path: Path) -> None:
    late = [(0.1, text(str(number))) for number in range(8)]
    outcome = play(ScriptedKernel([(0, reply()), *late, (0.1, status("idle"))]), tmp_path)
    assert outcome.printed == "01234567"
    assert outcome.seconds > 3 * cell_run.IDLE_SECONDS


def test_a_kernel_that_never_says_idle_is_not_waited_for(tmp_path: Path) -> None:
    outcome = play(ScriptedKernel([(0, reply()), (0.1, text("last"))]), tmp_path)
    assert (outcome.printed, outcome.ending.reply) == ("last", {"status": "ok"})
    assert outcome.seconds < 2


ANSWERED = Received(shell=(Message("kernel_info_reply", QUESTION, {}),))  # noqa: S604 - a channel of that name


@pytest.mark.fault(77)
@pytest.mark.parametrize("after", [[(0.3, ANSWERED)], []], ids=["answers later questions", "answers nothing"])
def test_a_kernel_that_is_idle_and_has_not_replied_is_not_waited_for(
    tmp_path: Path, after: list[tuple[float, Received]]
) -> None:
    kernel = ScriptedKernel([(0, status("busy")), (0, text("so far")), (0, status("idle")), *after])
    outcome = play(kernel, tmp_path)
    assert (outcome.printed, outcome.ending.reply, outcome.ending.died) == ("so far", None, False)
    assert kernel.asked == ["execute_request", "kernel_info_request"]


def test_a_kernel_that_says_idle_too_early_has_the_time_that_it_takes(tmp_path: Path) -> None:
    late = [(0.3, text(str(number))) for number in range(4)]
    kernel = ScriptedKernel([(0, status("idle")), *late, (0.1, reply()), (0, ANSWERED)])
    outcome = play(kernel, tmp_path)
    assert (outcome.printed, outcome.ending.reply) == ("0123", {"status": "ok"})


def test_idle_of_another_request_does_not_end_it(tmp_path: Path) -> None:
    foreign = Received(iopub=(Message("status", "other", {"execution_state": "idle"}),))
    outcome = play(ScriptedKernel([(0, reply()), (0, foreign), (0.1, text("more")), (0, status("idle"))]), tmp_path)
    assert outcome.printed == "more"


def test_a_death_ends_it_with_its_last_words(tmp_path: Path) -> None:
    last = Received(iopub=text("last words").iopub, died=True)
    outcome = play(ScriptedKernel([(0.05, last)]), tmp_path)
    assert (outcome.ending.died, outcome.ending.reply, outcome.printed) == (True, None, "last words")


def test_a_deadline_interrupts_first(tmp_path: Path) -> None:
    answer = Received(iopub=status("idle").iopub, shell=reply("error").shell)
    kernel = ScriptedKernel(answers_interrupt=answer)
    outcome = play(kernel, tmp_path, cell_seconds=0.1)
    assert kernel.process.signals == ["interrupt"]
    assert outcome.ending.cut is not None
    assert outcome.ending.cut.state is CellState.TIMED_OUT
    assert "deadline of 0.1 s" in outcome.ending.cut.error.message


@pytest.mark.parametrize(
    ("dies_of", "signals"),
    [
        (signal.SIGTERM, ["interrupt", "SIGTERM"]),
        (signal.SIGKILL, ["interrupt", "SIGTERM", "SIGKILL"]),
        (None, ["interrupt", "SIGTERM", "SIGKILL"]),
    ],
)
def test_what_does_not_listen_is_made_to_end_and_given_up_at_last(
    tmp_path: Path, dies_of: signal.Signals | None, signals: list[str]
) -> None:
    kernel = ScriptedKernel(process=ScriptedProcess(dies_of))
    outcome = play(kernel, tmp_path, cell_seconds=0.1)
    assert kernel.process.signals == signals
    assert outcome.ending.died == (dies_of is not None)
    assert outcome.seconds < 2


def test_the_runs_deadline_holds_too(tmp_path: Path) -> None:
    kernel = ScriptedKernel(process=ScriptedProcess(signal.SIGTERM))
    outcome = play(kernel, tmp_path, cell_seconds=60, run_deadline=time.monotonic() + 0.1)
    assert outcome.ending.cut is not None
    assert outcome.ending.cut.error.message == "the run's deadline passed"


def test_silence_is_a_stall_only_where_there_is_a_deadline_for_it(tmp_path: Path) -> None:
    kernel = ScriptedKernel([(0.6, reply()), (0, status("idle"))])
    assert play(kernel, tmp_path).ending.cut is None
    stalled = ScriptedKernel(process=ScriptedProcess(signal.SIGTERM))
    outcome = play(stalled, tmp_path, stall=0.2)
    assert outcome.ending.cut is not None
    assert "no sign of life" in outcome.ending.cut.error.message


def test_a_stop_interrupts_and_names_its_reason(tmp_path: Path) -> None:
    supervisor = Supervisor(grace=2)
    answer = Received(iopub=status("idle").iopub, shell=reply("error").shell)
    kernel = ScriptedKernel([(0.05, Received(woken=True))], answers_interrupt=answer)
    supervisor.abort(TerminatedError("SIGTERM"))
    outcome = play(kernel, tmp_path, supervisor=supervisor)
    assert outcome.ending.cut is not None
    assert outcome.ending.cut.state is CellState.INTERRUPTED
    assert isinstance(outcome.ending.cut.error, TerminatedError)
    assert kernel.process.signals == ["interrupt"]
