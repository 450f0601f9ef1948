"""``run_once``: the walk of a run, from reading its inputs to committing its record."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from nbstep_runner.contract import Notice, RunFinished, RunResult, RunSpec, RunState, Severity, Sink, encode
from nbstep_runner.engine.document import Document, encode_notebook
from nbstep_runner.engine.execute import Execution
from nbstep_runner.engine.notebook_run import Tools, run_notebook
from nbstep_runner.errors import ExitCode, InternalError, NbstepError, OutputConflictError
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.masking import Masker
from nbstep_runner.session import results
from nbstep_runner.session.claim import ClaimKeeper, wait_until_free
from nbstep_runner.session.environment import describe_environment
from nbstep_runner.session.files import place_files
from nbstep_runner.session.kernels import KernelSource
from nbstep_runner.session.places import STANDARD_STREAM, Places
from nbstep_runner.session.publish import Publisher, attempt, keep_locally, notebook_source
from nbstep_runner.session.scratch import Scratch
from nbstep_runner.session.stores import StoreSource
from nbstep_runner.session.work import NOWHERE, Fetched, OutputPlace, Work, fetch, look_at_output, understand
from nbstep_runner.sinks.checkpoint import Checkpointer
from nbstep_runner.sinks.fanout import FanOut
from nbstep_runner.sinks.log import LogFormat, LogSink
from nbstep_runner.stores import Source
from nbstep_runner.supervisor import Supervisor

LOG_NAME: Final = "run.log.jsonl"
LOG_SECONDS: Final = 5.0
CHECKPOINT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTools:
    """What a run is given by the process that it takes place in.

    Attributes:
        supervisor: Entered; it holds the signals.
        kernels: Where a kernel may already be starting.
        memory: Watches the cgroup since before the kernel started.
        log_stream: Where the log is shown, a binary stream; ``None`` for nowhere.
        notebook_stream: Where an output of ``-`` goes.
        token: Marks what belongs to the run.
        sinks: Further listeners.
    """

    supervisor: Supervisor
    kernels: KernelSource
    memory: MemoryWatch
    log_stream: BinaryIO | None
    log_format: LogFormat
    notebook_stream: BinaryIO
    token: str
    quiet: bool = False
    sinks: tuple[Sink, ...] = ()


def run_once(spec: RunSpec, tools: RunTools) -> RunResult:
    """Run one notebook as its spec says, and return the record that holds the verdict.

    Nothing is raised for what can go wrong with a run: the error is in the record, and so is the exit code.
    """
    try:
        with Scratch(tools.token) as scratch:
            return Session(spec, tools, scratch).run()
    except NbstepError as error:
        return results.failed(results.blank(spec), error)


class Session:
    """One run of :func:`run_once`."""

    def __init__(self, spec: RunSpec, tools: RunTools, scratch: Scratch) -> None:
        self._spec = spec
        self._tools = tools
        self._supervisor = tools.supervisor
        self._scratch = scratch
        self._started = time.monotonic()
        self._places = None if spec.output_uri == STANDARD_STREAM else Places.of(spec)
        self._log_path = scratch.folder / LOG_NAME
        self._log = self._open_log()
        self._listeners = FanOut([self._log, *tools.sinks])
        self._stores = StoreSource(spec.storage, partial(self._say, severity=Severity.WARNING))
        self._result = results.blank(spec)
        self._place: OutputPlace | None = None
        self._claim: ClaimKeeper | None = None
        self._checkpointed = False

    def _open_log(self) -> LogSink:
        return LogSink(
            self._spec.run_id,
            self._spec.attempt,
            path=self._log_path,
            stream=self._tools.log_stream,
            format=self._tools.log_format,
            quiet=self._tools.quiet,
            location=self._places.shown.log if self._places else "",
        )

    def run(self) -> RunResult:
        """Walk the whole way; whatever happens on it, the record says so."""
        try:
            self._walk()
        except NbstepError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - the last place where a fault of ours can become a verdict
            self._say(traceback.format_exc(), severity=Severity.DEBUG)
            self._fail(InternalError(f"{type(error).__name__}: {error}"))
        finally:
            self._tools.kernels.close()
            self._listeners.close(LOG_SECONDS)
        return self._result

    def _walk(self) -> None:
        work = self._read()
        if self._is_done(work):
            return
        for warning in work.resolved.warnings:
            self._say(warning, severity=Severity.WARNING)
        if self._spec.prepare_only:
            self._prepare(self._parameterize(work))
            return
        self._take_claim(work)
        self._place_files()
        notebook = self._parameterize(work)
        document, execution = self._execute(work, notebook)
        with closing(document):
            self._conclude(document, execution)

    def _read(self) -> Work:
        fetched = self._supervisor.call(
            partial(fetch, self._spec, self._places, self._stores), doing="reading the inputs"
        )
        self._place = self._supervisor.call(partial(self._free_place, fetched), doing="waiting for the output")
        work = understand(self._spec, fetched)
        self._result = replace(
            self._result,
            spec_digest=work.digest,
            parameters=work.resolved.as_json(),
            environment=describe_environment(kernel=None),
        )
        return work

    def _free_place(self, fetched: Fetched) -> OutputPlace:
        """What is at the output's place once no other run holds it."""
        if self._places is None:
            return NOWHERE
        store, existing = self._stores(self._places.record), fetched.place.existing
        free = wait_until_free(store, self._places.record, existing, self._spec.run_id)
        return fetched.place if free == existing else look_at_output(self._places, self._stores)

    def _is_done(self, work: Work) -> bool:
        """Whether this very work has its final record, which then answers for it."""
        record = self._place.existing.record if self._place else None
        if self._spec.force or record is None or not results.answers(record, work.digest):
            return False
        self._result = record
        self._say(f"this run has already ended: {record.state}; its record answers, no cell is run")
        self._listeners.handle(RunFinished(result=record))
        return True

    def _take_claim(self, work: Work) -> None:
        if self._places is None or self._place is None:
            return
        running = replace(self._result, state=RunState.RUNNING, spec_digest=work.digest, log_uri=self._places.shown.log)
        claim = ClaimKeeper(self._stores(self._places.record), self._places.record, self._supervisor.abort)
        version = self._place.existing.version
        self._supervisor.check()
        take = partial(claim.take, running, version)
        self._supervisor.call(take, doing="claiming the output", despite_stop=True)  # else nobody would end the claim
        self._claim = claim
        self._result = replace(running, warnings=claim.warnings)
        self._supervisor.check()

    def _place_files(self) -> None:
        folder = Path(self._spec.working_directory or ".")
        place = partial(place_files, self._spec.files, folder, self._stores)
        self._supervisor.call(place, doing="fetching the declared files")

    def _parameterize(self, work: Work) -> dict[str, Any]:
        from nbstep_runner.papermill_bridge import parameterize  # imports papermill, while the kernel starts

        return parameterize(
            work.notebook,
            work.resolved.values,
            kernel=self._spec.kernel,
            language=self._spec.language,
            report_mode=self._spec.report_mode,
            input_uri=self._result.input_uri,
            output_uri=self._result.output_uri,
        )

    def _prepare(self, notebook: dict[str, Any]) -> None:
        """Publish the parameterized notebook without running it."""
        data = encode_notebook(notebook)
        if self._places is None:
            self._show(data)
        else:
            store = self._stores(self._places.output)
            write = partial(store.write, self._places.output, data)
            version = self._supervisor.call(write, doing="publishing")
            self._result = replace(self._result, output_version=version)
        self._result = replace(self._result, state=RunState.SUCCEEDED, exit_code=int(ExitCode.SUCCEEDED))
        self._end()

    def _execute(self, work: Work, notebook: dict[str, Any]) -> tuple[Document, Execution]:
        metadata = work.notebook["metadata"]
        ready = self._tools.kernels.ready(
            self._spec.kernel or metadata.get("kernelspec", {}).get("name"),
            self._spec.language or metadata.get("language_info", {}).get("name"),
            self._spec.deadlines.start,
        )
        self._result = replace(self._result, environment=describe_environment(ready.kernel.process.spec.name))
        checkpoints = self._checkpointer()
        masker = Masker(work.resolved.secret_values())
        tools = Tools(
            emit=self._listeners.handle,
            offer=checkpoints.offer if checkpoints else _decline,
            masker=masker,
            supervisor=self._supervisor,
            memory=self._tools.memory,
            scratch=self._scratch.folder,
            log_name=self._places.shown.log if self._places else "the log",
        )
        try:
            shown = replace(self._spec, input_uri=self._result.input_uri, output_uri=self._result.output_uri)
            document, execution = run_notebook(notebook, ready.kernel, ready.info, shown, tools)
        finally:
            self._tools.kernels.close()
            if checkpoints:
                checkpoints.close(min(CHECKPOINT_SECONDS, self._supervisor.seconds_left / 4))
        self._checkpointed = checkpoints is not None and checkpoints.tried
        return document, execution

    def _checkpointer(self) -> Checkpointer | None:
        if self._places is None or not self._spec.checkpoint_seconds:
            return None
        store = self._stores(self._places.partial)
        return Checkpointer(store, self._places.partial, self._scratch.folder, self._listeners.handle)

    def _conclude(self, document: Document, execution: Execution) -> None:
        """Publish the executed notebook, then what accompanies it, then the record."""
        self._result = results.executed(self._result, execution)
        data = notebook_source(document)
        if self._places is None or self._place is None or self._claim is None:
            self._show(data)
            self._end()
            return
        publisher = Publisher(self._places, self._stores, self._supervisor)
        try:
            published = publisher.notebook(data, self._place.version, self._claim)
        except NbstepError as error:
            self._keep(data, error)
        else:
            self._result = replace(self._result, output_version=published.version, output_checksum=published.checksum)
            self._accompany(publisher, data)
        self._end()

    def _accompany(self, publisher: Publisher, data: Source) -> None:
        """Publish what the notebook's readers may want besides; the run's verdict does not depend on it."""
        if self._spec.html and self._places and self._published(partial(publisher.html, data)):
            self._result = replace(self._result, html_uri=self._places.shown.html)
        if self._checkpointed:
            self._published(publisher.remove_partial)

    def _published(self, task: Callable[[], None]) -> bool:
        """Whether it worked; if not, the record says why."""
        error = attempt(task)
        if error:
            self._warn(f"{error.message} ({error.context})" if error.context else error.message)
        return error is None

    def _keep(self, data: Source, error: NbstepError) -> None:
        """Keep a notebook that cannot be stored, and say where it is."""
        self._result = results.unpublished(self._result, error)
        try:
            path = keep_locally(data, self._scratch.folder)
        except OSError as second:
            self._warn(f"the executed notebook could not be kept locally either: {second.strerror or second}")
            return
        self._scratch.keep()
        self._warn(f"the executed notebook could not be published; it is kept in {path}")

    def _fail(self, error: NbstepError) -> None:
        """End the run on an error that no cell has."""
        self._result = results.failed(self._result, error)
        if error.context:
            self._say(error.context, severity=Severity.DEBUG)
        self._end(lost=isinstance(error, OutputConflictError))

    def _end(self, *, lost: bool = False) -> None:
        """Tell the verdict, store the log, and commit the record, in this order."""
        self._result = results.ended(self._result, time.monotonic() - self._started)
        self._listeners.handle(RunFinished(result=self._result))
        if self._places is not None and not lost and not self._spec.prepare_only:
            publisher = Publisher(self._places, self._stores, self._supervisor)
            self._store_log(publisher)
            self._commit()

    def _store_log(self, publisher: Publisher) -> None:
        if self._claim is None:
            return
        self._log.flush(LOG_SECONDS)
        error = attempt(partial(publisher.log, self._log_path))
        for warning in (*self._log.warnings, *([f"the log could not be stored: {error.message}"] if error else [])):
            self._warn(warning)

    def _commit(self) -> None:
        try:
            self._supervisor.call(self._write_record, doing="committing the record", despite_stop=True)
        except NbstepError as error:
            self._result = results.unpublished(self._result, error)
            self._listeners.handle(RunFinished(result=self._result))

    def _write_record(self) -> None:
        """Commit over our claim; a run that failed before it had one leaves another run's final record alone."""
        if self._claim is not None:
            self._claim.commit(self._result)
        elif self._place is not None and self._places is not None:
            record, version = self._place.existing.record, self._place.existing.version
            if record is None or not record.state.final or record.run_id == self._spec.run_id:
                store = self._stores(self._places.record)
                store.write(self._places.record, encode(self._result, indent=1), if_version=version)

    def _show(self, data: Source) -> None:
        """Write the notebook to standard output."""
        if isinstance(data, bytes):
            self._tools.notebook_stream.write(data)
        else:
            with data.open("rb") as file:
                shutil.copyfileobj(file, self._tools.notebook_stream)
        self._tools.notebook_stream.flush()

    def _say(self, message: str, severity: Severity = Severity.INFO) -> None:
        self._listeners.handle(Notice(message=message, severity=severity))

    def _warn(self, message: str) -> None:
        self._say(message, Severity.WARNING)
        self._result = replace(self._result, warnings=(*self._result.warnings, message))


def _decline(_: Any) -> None:
    """Take no checkpoint."""
