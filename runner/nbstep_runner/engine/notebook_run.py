"""A whole notebook on a kernel: prepared, executed, its kernel ended, its own record completed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nbstep_runner.contract import Event, RunSpec, RunStarted, RunState, Serving
from nbstep_runner.engine import cells, error_cells, metadata
from nbstep_runner.engine.cell_run import CellContext
from nbstep_runner.engine.document import Document, Snapshot
from nbstep_runner.engine.execute import Execution, Executor, Rules
from nbstep_runner.engine.messages import language_info_of
from nbstep_runner.engine.outputs import OutputBudget
from nbstep_runner.engine.recorder import Recorder
from nbstep_runner.engine.watches import StallWatch, stall_seconds
from nbstep_runner.errors import NbstepError
from nbstep_runner.kernel.death import signal_name
from nbstep_runner.kernel.kernel import Kernel
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.masking import Masker
from nbstep_runner.supervisor import Supervisor

if TYPE_CHECKING:
    from nbstep_runner.engine.held import Endpoint

SHUTDOWN_SHARE: Final = 0.1
"""Of what is left of a grace period, what the kernel has for its exit handlers."""
FIRST_CHECKPOINT_SECONDS: Final = 5.0
"""A run that is killed early leaves something, too; later checkpoints come at the interval that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a notebook's execution uses besides its kernel.

    Attributes:
        emit: Tells the listeners.
        offer: Takes a snapshot for a checkpoint, without waiting for it to be written.
        scratch: A folder for output that is too large for memory.
        log_name: Where all output is, for the notes that stand for left-out output.
        listening: Told where a served notebook answers, once it does.
    """

    emit: Callable[[Event], None]
    offer: Callable[[Snapshot], None]
    masker: Masker
    supervisor: Supervisor
    memory: MemoryWatch
    scratch: Path
    log_name: str
    listening: Callable[[Serving], None] = lambda _: None


def run_notebook(
    notebook: dict[str, Any], kernel: Kernel, info: dict[str, Any], spec: RunSpec, tools: Tools
) -> tuple[Document, Execution]:
    """Run a parameterized notebook (plain data, nbformat 4.5) on a ready kernel, and end the kernel.

    Args:
        notebook: Changed in place.
        kernel: Still to be closed by the caller.
        info: The kernel's ``kernel_info_reply``.
        spec: What was asked for.
        tools: What else is used.

    Raises:
        NbstepError: The notebook is to be served, and this kernel cannot do that.
    """
    _describe_kernel(notebook, kernel, info)
    metadata.begin_notebook(notebook)
    document = Document(notebook, tools.scratch)
    budget = OutputBudget(spec.limits, tools.log_name)
    recorder = Recorder(document, budget, tools.masker, tools.emit)
    tools.emit(_started(notebook, kernel, spec))
    tick = CheckpointTick(document, recorder, tools.offer, spec.checkpoint_seconds)
    endpoint = _endpoint(spec, kernel, recorder, tick, tools)
    around = CellContext(
        kernel=kernel,
        recorder=recorder,
        supervisor=tools.supervisor,
        stall=StallWatch(kernel, stall_seconds(kernel.process.spec, spec.deadlines.stall)),
        tick=tick,
        cell_seconds=spec.deadlines.cell,
        run_deadline=None if spec.deadlines.run is None else time.monotonic() + spec.deadlines.run,
        short_notice=spec.short_notice,
    )
    rules = Rules(
        allow_errors=spec.allow_errors,
        strict_shell=spec.strict_shell,
        selection=cells.Selection(spec.only_tags, spec.skip_tags),
    )
    executor = Executor(document, around, tools.memory, tools.emit, rules)
    execution = executor.run()
    try:
        if endpoint is not None and execution.state is RunState.SUCCEEDED:
            execution = execution.ended_by(endpoint.serve())
        if execution.error is None or not (spec.short_notice and tools.supervisor.stop):
            _end_kernel(kernel, recorder, spec, tools.supervisor)
        recorder.finish()
    except Exception as error:  # noqa: BLE001 - the cells have run: whatever it is, what they made is not lost
        execution = executor.faulted(execution, error)
    cut = _cut_short(kernel, spec) if execution.error is None else ()
    execution = executor.with_reports(execution, *cut)
    metadata.end_notebook(notebook, execution.seconds, execution.state, execution.error)
    if spec.error_cells and execution.error is not None and execution.state is RunState.FAILED:
        error_cells.mark(document, execution.error)
    return document, execution


def end_by(error: NbstepError, document: Document, execution: Execution) -> Execution:
    """Another end of a run whose cells have succeeded, in its notebook too."""
    ended = execution.ended_by(error)
    metadata.end_notebook(document.notebook, ended.seconds, ended.state, ended.error)
    return ended


class CheckpointTick:
    """Offers a snapshot of the running notebook soon after its start and then each interval; 0 turns it off."""

    def __init__(
        self, document: Document, recorder: Recorder, offer: Callable[[Snapshot], None], interval: float
    ) -> None:
        self._document = document
        self._recorder = recorder
        self._offer = offer
        self._interval = interval
        self._due = time.monotonic() + min(interval, FIRST_CHECKPOINT_SECONDS) if interval > 0 else None

    def __call__(self, now: float) -> float | None:
        """Offer a snapshot if one is due at ``now``; when the next one is."""
        if self._due is not None and now >= self._due:
            self._recorder.settle()
            self._offer(self._document.snapshot())
            self._due = time.monotonic() + self._interval
        return self._due

    def offer_now(self) -> None:
        """Offer a snapshot, due or not, if snapshots are wanted at all."""
        if self._due is not None:
            self(self._due)


def _endpoint(spec: RunSpec, kernel: Kernel, recorder: Recorder, tick: CheckpointTick, tools: Tools) -> Endpoint | None:
    """The endpoint that the notebook is to become, made ready; ``None`` in an ordinary run."""
    if spec.serving is None:
        return None
    from nbstep_runner.engine.held import Endpoint, Held

    def listening(serving: Serving) -> None:
        tick.offer_now()  # the cells are done: who looks at the running endpoint sees all of them
        tools.listening(serving)

    endpoint = Endpoint(
        Held(
            kernel=kernel,
            recorder=recorder,
            masker=tools.masker,
            supervisor=tools.supervisor,
            memory=tools.memory,
            emit=tools.emit,
            listening=listening,
        ),
        spec.serving,
    )
    endpoint.prepare()
    return endpoint


def _describe_kernel(notebook: dict[str, Any], kernel: Kernel, info: dict[str, Any]) -> None:
    """Write down which kernel ran, as Jupyter does."""
    kernel.process.spec.name_in(notebook["metadata"])
    if language_info := language_info_of(info):
        notebook["metadata"]["language_info"] = language_info


def _started(notebook: dict[str, Any], kernel: Kernel, spec: RunSpec) -> RunStarted:
    return RunStarted(
        run_id=spec.run_id,
        attempt=spec.attempt,
        input_uri=spec.input_uri,
        output_uri=spec.output_uri,
        kernel=kernel.process.spec.name,
        code_cells=sum(map(cells.is_code, notebook["cells"])),
    )


def _shutdown_seconds(spec: RunSpec, supervisor: Supervisor) -> float:
    if supervisor.stop is None:
        return spec.deadlines.shutdown
    return min(spec.deadlines.shutdown, supervisor.seconds_left * SHUTDOWN_SHARE)


def _cut_short(kernel: Kernel, spec: RunSpec) -> tuple[str, ...]:
    """What a success does not say: that what was to happen at the kernel's end may not have."""
    status = kernel.process.exit_status
    if status is None and spec.deadlines.shutdown > 0:
        how = "did not end in time and is killed"
    elif status is not None and status < 0:
        how = f"was ended by {signal_name(-status)}"
    else:
        return ()
    return (f"after the last cell the kernel {how}: what its exit handlers and threads had to do may be missing",)


def _end_kernel(kernel: Kernel, recorder: Recorder, spec: RunSpec, supervisor: Supervisor) -> None:
    """Let the kernel run its exit handlers for a bounded time, keeping what they print, or have printed by now."""
    if kernel.process.exit_status is None:
        kernel.request_shutdown()
    started = time.monotonic()
    while (left := started + _shutdown_seconds(spec, supervisor) - time.monotonic()) > 0:
        heard = kernel.wait(left)
        for message in heard.iopub:
            recorder.handle(message)
        if heard.woken:
            supervisor.attend()
        if heard.died:
            return
