"""``run_once``: the walk of a run, from reading its inputs to committing its record."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from nbstep_runner.contract import STANDARD_STREAM, RunResult, RunSpec, RunState, Serving, Severity, SweepTurn
from nbstep_runner.errors import BadInputError, ExitCode, InternalError, NbstepError
from nbstep_runner.kernel import specs
from nbstep_runner.masking import MIN_LENGTH, Masker
from nbstep_runner.session import results
from nbstep_runner.session.files import place_files
from nbstep_runner.session.kernels import KernelSource, ReadyKernel
from nbstep_runner.session.ledger import Ledger, LogSettings
from nbstep_runner.session.places import refuse_own_places
from nbstep_runner.session.scratch import Scratch
from nbstep_runner.session.stored_output import StoredOutput
from nbstep_runner.session.stores import StoreSource
from nbstep_runner.session.stream_output import StreamOutput
from nbstep_runner.session.work import Work, fetch, understand
from nbstep_runner.session.working_files import WorkingFiles
from nbstep_runner.stores import Source, redact
from nbstep_runner.supervisor import Supervisor

if TYPE_CHECKING:
    from nbstep_runner.engine.document import Document, Snapshot
    from nbstep_runner.engine.execute import Execution
    from nbstep_runner.session.kept_state import KeptState
    from nbstep_runner.sinks.checkpoint import Checkpointer

CHECKPOINT_CLOSE_SECONDS: Final = 5.0
"""How long the end of a run waits for a checkpoint that is being written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTools:
    """What a run is given by the process that it takes place in.

    Attributes:
        supervisor: Entered; it holds the signals.
        kernels: Where a kernel may already be starting.
        log: Who hears of the run.
        notebook_stream: Where an output of ``-`` goes.
        turn: See :class:`~nbstep_runner.session.stored_output.StoredOutput`.
        entrust: Gets what is needed to settle the record, should this process be killed
            (:func:`nbstep_runner.session.abandoned.settle`).
        stores: What earlier runs of the process have opened, with the options of this one.
    """

    supervisor: Supervisor
    kernels: KernelSource
    log: LogSettings
    notebook_stream: BinaryIO
    turn: SweepTurn | None = None
    entrust: Callable[[bytes], None] = lambda _: None
    stores: StoreSource | None = None


def run_once(spec: RunSpec, tools: RunTools) -> RunResult:
    """Run one notebook as its spec says, and return the record that holds the verdict.

    Nothing is raised for what can go wrong with a run: the error is in the record, and so is the exit code. However it
    ends, no kernel is left.
    """
    with closing(tools.kernels):
        try:
            scratch = Scratch(tools.kernels.token)
        except NbstepError as error:  # there is no place to work in, and no file for a log
            with closing(Ledger(spec, None, tools.log)) as ledger:
                ledger.fail(error)
                ledger.end()
                ledger.finish()
                return ledger.result
        with scratch, closing(Ledger(spec, scratch.log, tools.log)) as ledger, closing(tools.kernels):
            Run(spec, tools, scratch, ledger).carry_out()
            return ledger.result


class Run:
    """One run of :func:`run_once`, told in the order in which it happens.

    Args:
        spec: What is asked for.
        tools: What the process gives it.
        scratch: Its private folder.
        ledger: Its record in the making.
    """

    def __init__(self, spec: RunSpec, tools: RunTools, scratch: Scratch, ledger: Ledger) -> None:
        self._spec = spec
        self._supervisor = tools.supervisor
        self._kernels = tools.kernels
        self._scratch = scratch
        self._ledger = ledger
        self._masker = Masker(())
        self._stores = tools.stores or StoreSource(spec.storage)
        self._output = (
            StreamOutput(tools.notebook_stream, tools.supervisor)
            if spec.output_uri == STANDARD_STREAM
            else StoredOutput(spec, self._stores, tools.supervisor, ledger, tools.turn, tools.entrust)
        )
        self._notebook: Source | None = None
        self._state: KeptState | None = None
        self._after_record: Callable[[], None] | None = None

    def carry_out(self) -> None:
        """Walk the whole way; whatever happens on it, the record says so."""
        with self._stores.lent(self._tell_retry), ExitStack() as held:
            try:
                self._walk(held)
            except NbstepError as error:
                error.message, error.context = map(self._fit_to_show, (error.message, error.context))
                self._ledger.fail(error)
            except Exception as error:  # noqa: BLE001 - the last place where a fault of ours can become a verdict
                self._ledger.say(self._fit_to_show(traceback.format_exc()), Severity.DEBUG)
                self._ledger.fail(InternalError(self._fit_to_show(f"{type(error).__name__}: {error}")))
            self._conclude()

    def _walk(self, held: ExitStack) -> None:
        """Read, claim, execute, publish."""
        work = self._read()
        if answer := self._output.answer(work.digest):
            self._ledger.adopt(answer)
            self._ledger.say(f"this run has already ended: {answer.state}; its record answers, no cell is run")
            return
        for warning in work.warnings:
            self._ledger.warn(warning)
        if self._spec.prepare_only:
            self._prepare(work)
            return
        self._read_secrets(work)
        folder = Path(self._spec.working_directory or ".")
        working = WorkingFiles(folder, self._spec)
        self._output.claim()
        if self._spec.state:
            self._restore_state(work)
        place = partial(place_files, self._spec.files, folder, self._stores)
        self._supervisor.call(place, doing="fetching the declared files")
        self._supervisor.call(working.look, doing="looking at the working directory")
        notebook = self._parameterize(work)
        self._output.prepare_page()
        kernel = self._ready_kernel(work)
        checkpoints = self._output.checkpointer(self._scratch.folder)
        document, execution = self._execute(notebook, kernel, checkpoints)
        held.enter_context(closing(document))
        checkpointed = checkpoints is not None and checkpoints.tried
        if execution.error is not None and self._supervisor.stop is not None:  # the notebook matters most
            self._publish(document, execution, checkpointed=checkpointed)
            account = partial(self._account, working, execution)
            if self._at_once:
                self._after_record = account
            else:
                account()
            return
        problem = self._collect(working, execution, storing=True)
        self._publish(document, _ended_by(problem, document, execution), checkpointed=checkpointed)
        if problem is not None and execution.error is not None:
            self._unpublished(problem)

    def _read(self) -> Work:
        """Fetch and understand the inputs, while the output is looked at and perhaps claimed."""
        if self._output.places is not None:
            refuse_own_places(self._spec, self._output.places)
        self._output.claim_early()
        read = partial(fetch, self._spec, self._output.places, self._stores)
        fetched = self._supervisor.call(read, doing="reading the inputs")
        self._output.await_turn(fetched.place)
        from nbstep_runner.session.environment import describe_environment, described_pod

        if where := described_pod():
            self._ledger.say(where)
        work = understand(self._spec, fetched)
        self._ledger.change(
            spec_digest=work.digest, parameters=work.resolved.as_json(), environment=describe_environment()
        )
        return work

    def _restore_state(self, work: Work) -> None:
        """Fill the state folder with what an earlier attempt has left, and say so while the run is under way."""
        if not isinstance(self._output, StoredOutput):
            raise BadInputError(
                "a run whose notebook goes to standard output has no place to keep its state",
                hint="Name a file or a URI as OUTPUT.",
            )
        from nbstep_runner.session.kept_state import KeptState

        confirm = self._output.confirm_claim
        self._state = KeptState(self._spec, self._kernels.token, self._stores, self._supervisor, self._ledger, confirm)
        self._kernels.give(self._state.variables)
        self._state.restore(work.content, self._output.earlier)
        if self._ledger.result.continued_from is not None:
            self._output.describe()

    def _prepare(self, work: Work) -> None:
        """Only parameters were asked for: publish the notebook; there is no record of a run that was none."""
        from nbstep_runner.engine.document import encode_notebook

        notebook = self._parameterize(work)
        if self._spec.kernel:
            specs.find(self._spec.kernel).name_in(notebook["metadata"])
        self._output.prepared(encode_notebook(notebook))
        self._ledger.change(state=RunState.SUCCEEDED, exit_code=int(ExitCode.SUCCEEDED))

    def _read_secrets(self, work: Work) -> None:
        """Know what must not be shown, before anything is begun."""
        self._masker = Masker(self._supervisor.call(work.resolved.secret_values, doing="reading the secrets"))
        if self._masker.unmaskable:
            self._ledger.warn(
                f"secrets shorter than {MIN_LENGTH} characters are not masked where the notebook prints them; "
                f"there are {self._masker.unmaskable}"
            )

    def _parameterize(self, work: Work) -> dict[str, Any]:
        from nbstep_runner.papermill_bridge import parameterize

        return parameterize(
            work.notebook,
            work.resolved.values,
            kernel=self._spec.kernel,
            language=work.language,
            report_mode=self._spec.report_mode,
            input_uri=self._ledger.result.input_uri,
            output_uri=self._ledger.result.output_uri,
        )

    def _ready_kernel(self, work: Work) -> ReadyKernel:
        metadata = work.notebook["metadata"]
        ready = self._kernels.ready(
            self._spec.kernel or metadata.get("kernelspec", {}).get("name"),
            work.language,
            self._spec.deadlines.start,
            self._fit_to_show,
        )
        environment = self._ledger.result.environment
        if environment is not None:
            self._ledger.change(environment=replace(environment, kernel=ready.kernel.process.spec.name))
        return ready

    def _execute(
        self, notebook: dict[str, Any], ready: ReadyKernel, checkpoints: Checkpointer | None
    ) -> tuple[Document, Execution]:
        """Run the cells, then end the kernel and the checkpoints; what a stop at short notice has cut does not wait."""
        from nbstep_runner.engine.notebook_run import Tools, run_notebook

        if not gc.isenabled():  # the command's start made objects that stay: they are passed over from now on
            gc.freeze()
            gc.enable()
        shown = replace(self._spec, input_uri=self._ledger.result.input_uri, output_uri=self._ledger.result.output_uri)
        tools = Tools(
            emit=self._ledger.tell,
            offer=partial(self._checkpoint, checkpoints),
            masker=self._masker,
            supervisor=self._supervisor,
            memory=self._kernels.memory,
            scratch=self._scratch.folder,
            log_name=self._output.places.shown.log if self._output.places else "the log",
            listening=self._tell_serving,
        )
        succeeded = False
        try:
            document, execution = run_notebook(notebook, ready.kernel, ready.info, shown, tools)
            succeeded = execution.error is None
            return document, execution
        finally:
            at_once = self._at_once and not succeeded
            if not at_once:  # else it ends with the run
                self._kernels.close()
            if checkpoints:
                checkpoints.close(0 if at_once else min(CHECKPOINT_CLOSE_SECONDS, self._supervisor.seconds_left / 4))
                self._ledger.change(warnings=(*self._ledger.result.warnings, *checkpoints.warnings))
            if self._state is not None:
                self._state.finish(at_once=at_once)

    def _checkpoint(self, checkpoints: Checkpointer | None, snapshot: Snapshot) -> None:
        if checkpoints is not None:
            checkpoints.offer(snapshot)
        if self._state is not None:
            self._state.offer()

    def _tell_serving(self, serving: Serving) -> None:
        """The notebook is served from now on: the record says so at once."""
        self._ledger.change(serving=serving)
        self._output.describe()

    @property
    def _at_once(self) -> bool:
        """Whether the run was stopped, may have less than a second left, and is no success.

        A success is none before its notebook is in place: its record waits for that.
        """
        stopped = self._spec.short_notice and self._supervisor.stop is not None
        return stopped and self._ledger.result.state is not RunState.SUCCEEDED

    def _publish(self, document: Document, execution: Execution, *, checkpointed: bool) -> None:
        """The cells' verdict, and the notebook in its place; one that cannot be stored is kept here."""
        self._ledger.result = results.executed(self._ledger.result, execution)
        self._supervisor.restore_limits()
        try:
            self._notebook = document.complete()
        except OSError:  # scratch cannot take what it lacks
            self._notebook = b"".join(document.snapshot().chunks())
        try:
            self._output.publish(self._notebook, checkpointed=checkpointed, at_once=self._at_once)
        except NbstepError as error:
            self._unpublished(error)

    def _collect(self, working: WorkingFiles, execution: Execution, *, storing: bool) -> NbstepError | None:
        """Store what is to come back of the working directory; why not all that was asked for is stored."""
        try:
            self._output.collect(working, execution.files, storing=storing)
        except NbstepError as error:
            return error
        return None

    def _account(self, working: WorkingFiles, execution: Execution) -> None:
        """Look for what is to come back of a run that was stopped, and write down what could not be stored.

        Nothing is stored where the notebook was not.
        """
        if problem := self._collect(working, execution, storing=self._ledger.result.output_version is not None):
            self._unpublished(problem)

    def _conclude(self) -> None:
        """Commit the record, tell the verdict once, and store the log, which ends with it.

        What becomes known after that, such as a log that could not be stored, is written into the record once more.
        """
        self._supervisor.restore_limits()
        at_once = self._at_once
        if self._state is not None and not at_once:
            self._state.close()
        self._ledger.end(at_once=at_once)
        committed: RunResult | None = self._ledger.result
        if not self._spec.prepare_only:
            try:
                self._output.commit()
            except NbstepError as error:
                committed = None
                self._unpublished(error)
        if self._after_record is not None:
            self._after_record()
        if at_once:
            self._ledger.end()
        self._ledger.finish()
        self._output.store_log(self._scratch.log)
        try:
            self._output.complete()
        except NbstepError as error:
            self._unpublished(error)
        if self._state is not None:
            self._state.close()
        if committed is not None and self._ledger.result != committed:
            with suppress(NbstepError):
                self._output.commit()

    def _unpublished(self, error: NbstepError) -> None:
        """Storage did not take what it was to take: write that down, and keep a notebook that is nowhere else."""
        self._ledger.result = results.unpublished(self._ledger.result, error)
        if self._notebook is None or self._ledger.result.output_version is not None:
            return
        try:
            path = self._scratch.keep(self._notebook)
        except OSError as second:
            self._ledger.warn(f"the executed notebook could not be kept locally either: {second.strerror or second}")
            return
        self._notebook = None
        self._ledger.warn(f"the executed notebook could not be published; it is kept in {path}")

    def _tell_retry(self, line: str) -> None:
        if not self._ledger.finished:  # the stored log ends with the verdict
            self._ledger.say(line, Severity.WARNING)

    def _fit_to_show(self, text: str) -> str:
        """What others say of a fault, without the secrets that are known by then."""
        return redact(self._masker.mask(text))


def _ended_by(problem: NbstepError | None, document: Document, execution: Execution) -> Execution:
    """A success that did not leave the files that it was asked for is none, and its notebook says so too."""
    from nbstep_runner.engine.notebook_run import end_by

    return execution if problem is None or execution.error is not None else end_by(problem, document, execution)
