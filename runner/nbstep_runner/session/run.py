"""``run_once``: the walk of a run, from reading its inputs to committing its record."""

from __future__ import annotations

import traceback
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from nbstep_runner.collector import resume
from nbstep_runner.contract import RunFinished, RunResult, RunSpec, RunState, Severity
from nbstep_runner.errors import InternalError, NbstepError
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.masking import MIN_LENGTH, Masker
from nbstep_runner.session import results
from nbstep_runner.session.claim import ClaimKeeper, wait_until_free
from nbstep_runner.session.conclude import Conclusion, StreamConclusion
from nbstep_runner.session.early_claim import EarlyClaim
from nbstep_runner.session.files import place_files
from nbstep_runner.session.kernels import KernelSource, ReadyKernel
from nbstep_runner.session.later import import_later
from nbstep_runner.session.ledger import Holding, Ledger, LogSettings
from nbstep_runner.session.places import STANDARD_STREAM, Places
from nbstep_runner.session.publish import Publisher
from nbstep_runner.session.scratch import Scratch
from nbstep_runner.session.stores import StoreSource
from nbstep_runner.session.work import (
    NO_RECORD,
    NOWHERE,
    Fetched,
    OutputPlace,
    Work,
    fetch,
    holds_what_is_recorded,
    look_at_output,
    understand,
)
from nbstep_runner.sinks.checkpoint import Checkpointer
from nbstep_runner.stores import is_remote, redact
from nbstep_runner.supervisor import Supervisor

if TYPE_CHECKING:
    from nbstep_runner.engine.notebook_run import Tools

LOG_NAME: Final = "run.log.jsonl"
CHECKPOINT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTools:
    """What a run is given by the process that it takes place in.

    Attributes:
        supervisor: Entered; it holds the signals.
        kernels: Where a kernel may already be starting.
        memory: Watches the cgroup since before the kernel started.
        log: Who hears of the run.
        notebook_stream: Where an output of ``-`` goes.
        token: Marks what belongs to the run.
    """

    supervisor: Supervisor
    kernels: KernelSource
    memory: MemoryWatch
    log: LogSettings
    notebook_stream: BinaryIO
    token: str


def run_once(spec: RunSpec, tools: RunTools) -> RunResult:
    """Run one notebook as its spec says, and return the record that holds the verdict.

    Nothing is raised for what can go wrong with a run: the error is in the record, and so is the exit code. However it
    ends, no kernel is left.
    """
    try:
        with closing(tools.kernels), Scratch(tools.token) as scratch:
            return Session(spec, tools, scratch).run()
    except NbstepError as error:
        return _never_begun(spec, tools, error)


def _never_begun(spec: RunSpec, tools: RunTools, error: NbstepError) -> RunResult:
    """Tell why a run has no place to work in; there is no file for its log."""
    ledger = Ledger(spec, None, None, tools.log)
    StreamConclusion(ledger, tools.notebook_stream).failed(error)
    ledger.close()
    return ledger.result


class Session:
    """One run of :func:`run_once`."""

    def __init__(self, spec: RunSpec, tools: RunTools, scratch: Scratch) -> None:
        self._spec = spec
        self._tools = tools
        self._supervisor = tools.supervisor
        self._scratch = scratch
        self._places = None if spec.output_uri == STANDARD_STREAM else Places.of(spec)
        self._ledger = Ledger(spec, self._places, scratch.folder / LOG_NAME, tools.log)
        self._stores = StoreSource(spec.storage, partial(self._ledger.say, severity=Severity.WARNING))
        self._holding = Holding()
        self._masker = Masker(())
        self._early_claim: EarlyClaim | None = None
        self._conclusion = self._make_conclusion()

    def _make_conclusion(self) -> Conclusion | StreamConclusion:
        if self._places is None:
            return StreamConclusion(self._ledger, self._tools.notebook_stream)
        publisher = Publisher(self._places, self._stores, self._supervisor)
        return Conclusion(self._spec, publisher, self._holding, self._ledger, self._scratch)

    def run(self) -> RunResult:
        """Walk the whole way; whatever happens on it, the record says so."""
        try:
            self._walk()
        except NbstepError as error:
            self._settle_early_claim()
            self._conclusion.failed(error)
        except Exception as error:  # noqa: BLE001 - the last place where a fault of ours can become a verdict
            self._settle_early_claim()
            self._ledger.say(self._fit_to_show(traceback.format_exc()), Severity.DEBUG)
            self._conclusion.failed(InternalError(self._fit_to_show(f"{type(error).__name__}: {error}")))
        finally:
            self._tools.kernels.close()
            self._ledger.close()
        return self._ledger.result

    def _walk(self) -> None:
        self._claim_early()
        work = self._read()
        if self._is_done(work):
            return
        for warning in work.warnings:
            self._ledger.warn(warning)
        if self._spec.prepare_only:
            self._prepare(work)
            return
        self._read_secrets(work)
        self._take_claim(work)
        self._place_files()
        notebook = self._parameterize(work)
        self._execute(notebook, self._ready_kernel(work))

    def _prepare(self, work: Work) -> None:
        from nbstep_runner.engine.document import encode_notebook

        self._conclusion.prepared(encode_notebook(self._parameterize(work)))

    def _read(self) -> Work:
        read = partial(fetch, self._spec, self._places, self._stores, meanwhile=import_later)
        fetched = self._supervisor.call(read, doing="reading the inputs")
        from nbstep_runner.session.environment import describe_environment, described_pod

        if where := described_pod():
            self._ledger.say(where)

        self._settle_early_claim()
        self._holding.place = self._supervisor.call(partial(self._free_place, fetched), doing="waiting for the output")
        work = understand(self._spec, fetched)
        self._ledger.change(
            spec_digest=work.digest, parameters=work.resolved.as_json(), environment=describe_environment()
        )
        return work

    def _read_secrets(self, work: Work) -> None:
        """Know what must not be shown, before anything is begun."""
        self._masker = Masker(self._supervisor.call(work.resolved.secret_values, doing="reading the secrets"))
        if self._masker.unmaskable:
            self._ledger.warn(
                f"secrets shorter than {MIN_LENGTH} characters are not masked where the notebook prints them; "
                f"there are {self._masker.unmaskable}"
            )

    def _fit_to_show(self, text: str) -> str:
        """What others say of a fault, without the secrets that are known by then."""
        return redact(self._masker.mask(text))

    def _free_place(self, fetched: Fetched) -> OutputPlace:
        """What is at the output's place once no other run holds it."""
        if self._places is None:
            return NOWHERE
        if self._holding.claim is not None:
            return OutputPlace(NO_RECORD, fetched.place.version)
        store, existing = self._stores(self._places.record), fetched.place.existing
        free = wait_until_free(store, self._places.record, existing, self._spec.run_id)
        return fetched.place if free == existing else look_at_output(self._places, self._stores)

    def _is_done(self, work: Work) -> bool:
        """Whether this very work has its final record, which then answers for it while its notebook is still there."""
        place = self._holding.place
        record = place.existing.record if place else None
        if self._spec.force or place is None or record is None or not results.answers(record, work.digest):
            return False
        look = partial(holds_what_is_recorded, place, record, self._spec.output_uri, self._stores)
        if not self._supervisor.call(look, doing="looking at the output"):
            return False
        self._ledger.result = record
        self._ledger.say(f"this run has already ended: {record.state}; its record answers, no cell is run")
        self._ledger.tell(RunFinished(result=record))
        return True

    def _claim_early(self) -> None:
        """Try for the output while the inputs are read; whatever is wrong with it is told by those who need it."""
        if self._places is None or self._spec.prepare_only or not is_remote(self._places.record):
            return
        with suppress(NbstepError):
            record = replace(self._ledger.result, state=RunState.RUNNING, log_uri=self._places.shown.log)
            self._early_claim = EarlyClaim(self._claim_keeper(self._places), record)

    def _settle_early_claim(self) -> None:
        early, self._early_claim = self._early_claim, None
        if early is not None:
            self._holding.claim = early.settle(self._supervisor)

    def _take_claim(self, work: Work) -> None:
        if self._places is None or self._holding.place is None:
            return
        self._supervisor.check()
        self._ledger.change(state=RunState.RUNNING, spec_digest=work.digest, log_uri=self._places.shown.log)
        if self._holding.claim is not None:
            self._holding.claim.describe(self._ledger.result)
        else:
            claim = self._claim_keeper(self._places)
            take = partial(claim.take, self._ledger.result, self._holding.place.existing.version)
            self._supervisor.call(take, doing="claiming the output", despite_stop=True)  # else nobody would end it
            self._holding.claim = claim
        self._ledger.change(warnings=(*self._ledger.result.warnings, *self._holding.claim.warnings))
        self._supervisor.check()

    def _claim_keeper(self, places: Places) -> ClaimKeeper:
        return ClaimKeeper(self._stores(places.record), places.record, self._supervisor.abort)

    def _place_files(self) -> None:
        folder = Path(self._spec.working_directory or ".")
        place = partial(place_files, self._spec.files, folder, self._stores)
        self._supervisor.call(place, doing="fetching the declared files")

    def _parameterize(self, work: Work) -> dict[str, Any]:
        from nbstep_runner.papermill_bridge import parameterize  # may import papermill, while the kernel starts

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
        ready = self._tools.kernels.ready(
            self._spec.kernel or metadata.get("kernelspec", {}).get("name"),
            work.language,
            self._spec.deadlines.start,
        )
        environment = self._ledger.result.environment
        if environment is not None:
            self._ledger.change(environment=replace(environment, kernel=ready.kernel.process.spec.name))
        return ready

    def _execute(self, notebook: dict[str, Any], ready: ReadyKernel) -> None:
        from nbstep_runner.engine.notebook_run import run_notebook

        resume()
        checkpoints = self._checkpointer()
        shown = replace(self._spec, input_uri=self._ledger.result.input_uri, output_uri=self._ledger.result.output_uri)
        try:
            document, execution = run_notebook(
                notebook, ready.kernel, ready.info, shown, self._engine_tools(checkpoints)
            )
        finally:
            at_once = self._spec.short_notice and self._supervisor.stop is not None
            if not at_once:  # the kernel may as well end after the notebook is published
                self._tools.kernels.close()
            if checkpoints:
                checkpoints.close(0 if at_once else min(CHECKPOINT_SECONDS, self._supervisor.seconds_left / 4))
                self._ledger.change(warnings=(*self._ledger.result.warnings, *checkpoints.warnings))
        with closing(document):
            self._conclusion.executed(document, execution, checkpointed=checkpoints is not None and checkpoints.tried)

    def _engine_tools(self, checkpoints: Checkpointer | None) -> Tools:
        from nbstep_runner.engine.notebook_run import Tools

        return Tools(
            emit=self._ledger.tell,
            offer=checkpoints.offer if checkpoints else lambda _: None,
            masker=self._masker,
            supervisor=self._supervisor,
            memory=self._tools.memory,
            scratch=self._scratch.folder,
            log_name=self._places.shown.log if self._places else "the log",
        )

    def _checkpointer(self) -> Checkpointer | None:
        if self._places is None or not self._spec.checkpoint_seconds:
            return None
        store = self._stores(self._places.partial)
        return Checkpointer(store, self._places.partial, self._scratch.folder, self._ledger.tell)
