"""The end of a run, whatever it is: notebook and companions in their places, then the record, and the log beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final

from nbstep_runner.contract import RunFinished, RunSpec, RunState, Severity
from nbstep_runner.errors import ExitCode, NbstepError, OutputConflictError, StorageUnavailableError
from nbstep_runner.session import results
from nbstep_runner.session.background import begin
from nbstep_runner.session.claim import ClaimKeeper
from nbstep_runner.session.ledger import Holding, Ledger
from nbstep_runner.session.publish import Published, Publisher, attempt, keep_locally, notebook_source
from nbstep_runner.session.scratch import Scratch
from nbstep_runner.session.work import OutputPlace
from nbstep_runner.stores import ABSENT, Source

if TYPE_CHECKING:
    from nbstep_runner.engine.document import Document
    from nbstep_runner.engine.execute import Execution

PIPE_HINT: Final = "Let what reads it read to the end, or name a file or a URI as OUTPUT."


class Conclusion:
    """Ends a run whose output is an object in a store.

    Args:
        spec: What was asked for.
        publisher: Writes the run's objects.
        holding: What the run holds of their places; filled while the run goes on.
        ledger: Gets the verdict.
        scratch: Keeps a notebook that cannot be stored.
    """

    def __init__(self, spec: RunSpec, publisher: Publisher, holding: Holding, ledger: Ledger, scratch: Scratch) -> None:
        self._spec = spec
        self._publisher = publisher
        self._holding = holding
        self._ledger = ledger
        self._scratch = scratch
        self._outdone = False

    def executed(self, document: Document, execution: Execution, *, checkpointed: bool) -> None:
        """The cells have ended: publish what they made, commit what came of it."""
        self._ledger.result = results.executed(self._ledger.result, execution)
        data = notebook_source(document)
        if self._spec.short_notice and self._ledger.result.state is RunState.CANCELLED:
            self._end_at_once(data, checkpointed=checkpointed)
            return
        if self._publish(data):
            self._accompany(data, checkpointed=checkpointed)
        self._end()

    def _end_at_once(self, data: Source, *, checkpointed: bool) -> None:
        """Write notebook, record and log side by side: what waits for another of them may never be begun.

        The record that is committed first names no notebook; once that is there, it is written again with its version.
        """
        self._ledger.end()
        place, claim = self._held()
        notebook = begin(partial(self._publisher.notebook, data, place.version, claim), "publishing")
        log = self._begin_log()
        committed = self._try_to_commit()
        published = self._note_published(notebook.result, data)
        if log:
            self._attempt(partial(self._publisher.end_log, log))
        if committed:
            attempt(self._commit)
        if published and (checkpointed or self._follows_a_killed_attempt):
            self._attempt(self._publisher.remove_partial)

    def prepared(self, data: bytes) -> None:
        """Only parameters were asked for: publish the notebook; there is no record of a run that was none.

        The record that was there speaks of another notebook, so it goes first.

        Raises:
            OutputConflictError: Another run has taken the output since.
            StorageUnavailableError, StorageDeniedError: The store does not take it.
        """
        version = self._holding.place.existing.version if self._holding.place else ABSENT
        if version != ABSENT:
            self._publisher.remove_record(version)
        if self._follows_a_killed_attempt:
            self._attempt(self._publisher.remove_partial)
        succeed(self._ledger, output_version=self._publisher.prepared(data))

    def failed(self, error: NbstepError) -> None:
        """The run ends on an error that no cell has."""
        note_failure(self._ledger, error)
        if isinstance(error, OutputConflictError) or self._spec.prepare_only:
            self._ledger.end()
        else:
            self._end()

    def _held(self) -> tuple[OutputPlace, ClaimKeeper]:
        place, claim = self._holding.place, self._holding.claim
        assert place is not None  # noqa: S101 - nothing is executed before the claim is taken
        assert claim is not None  # noqa: S101 - as above
        return place, claim

    def _publish(self, data: Source) -> bool:
        """Whether the notebook is verified in storage; if not, it is kept here."""
        place, claim = self._held()
        return self._note_published(partial(self._publisher.notebook, data, place.version, claim), data)

    def _note_published(self, publish: Callable[[], Published], data: Source) -> bool:
        """Write down where the notebook is, or keep it here and write down why."""
        try:
            published = publish()
        except NbstepError as error:
            self._outdone = isinstance(error, OutputConflictError)
            self._keep(data, error)
            return False
        self._ledger.change(
            output_version=published.version, output_checksum=published.checksum, store=published.promises
        )
        return True

    def _accompany(self, data: Source, *, checkpointed: bool) -> None:
        """Publish what the notebook's readers may want besides; the run's verdict does not depend on it."""
        page = partial(self._publisher.html, data, self._spec.html_allow, self._ledger.warn)
        if self._spec.html and self._attempt(page):
            self._ledger.change(html_uri=self._publisher.places.shown.html)
        if checkpointed or self._follows_a_killed_attempt:
            self._attempt(self._publisher.remove_partial)

    @property
    def _follows_a_killed_attempt(self) -> bool:
        """Whether the record that was there has no end; then a partial notebook may be there that has none either."""
        record = self._holding.place.existing.record if self._holding.place else None
        return record is not None and not record.state.final

    def _attempt(self, task: Callable[[], None]) -> bool:
        """Whether it worked; if not, the record says why."""
        error = attempt(task)
        if error:
            self._ledger.warn(f"{error.message} ({error.context})" if error.context else error.message)
        return error is None

    def _keep(self, data: Source, error: NbstepError) -> None:
        """Keep a notebook that cannot be stored, and say where it is."""
        self._ledger.result = results.unpublished(self._ledger.result, error)
        try:
            path = keep_locally(data, self._scratch.folder)
        except OSError as second:
            self._ledger.warn(f"the executed notebook could not be kept locally either: {second.strerror or second}")
            return
        self._scratch.keep()
        self._ledger.warn(f"the executed notebook could not be published; it is kept in {path}")

    def _end(self) -> None:
        """Commit the record at once; the log goes up beside it, and what becomes of that is written down after it."""
        self._ledger.end()
        writing = self._begin_log()
        committed = self._try_to_commit()
        if writing and not self._attempt(partial(self._publisher.end_log, writing)) and committed:
            attempt(self._commit)

    def _begin_log(self) -> Future[str] | None:
        """Begin to store the log, where the output is this run's: not over that of a run that was faster."""
        if self._holding.claim is None or self._outdone:
            return None
        log = self._ledger.complete_log()
        return self._publisher.begin_log(log) if log else None

    def _try_to_commit(self) -> bool:
        """Whether the record stands; if not, the verdict is another."""
        try:
            self._commit()
        except NbstepError as error:
            self._ledger.result = results.unpublished(self._ledger.result, error)
            self._ledger.tell(RunFinished(result=self._ledger.result))
            return False
        return True

    def _commit(self) -> None:
        """Commit over our claim; a run that failed before it had one leaves another run's final record alone."""
        result = self._ledger.result
        if self._holding.claim is not None:
            self._publisher.commit(self._holding.claim, result)
        elif self._holding.place is not None:
            record, version = self._holding.place.existing.record, self._holding.place.existing.version
            if record is None or not record.state.final or record.run_id == self._spec.run_id:
                self._publisher.record(result, version)


class StreamConclusion:
    """Ends a run whose output is standard output: there is no record, and nobody to conflict with."""

    def __init__(self, ledger: Ledger, stream: BinaryIO) -> None:
        self._ledger = ledger
        self._stream = stream

    def executed(self, document: Document, execution: Execution, *, checkpointed: bool) -> None:
        """Write the executed notebook."""
        del checkpointed
        self._ledger.result = results.executed(self._ledger.result, execution)
        try:
            self._write(notebook_source(document))
        except NbstepError as error:
            self._ledger.result = results.unpublished(self._ledger.result, error)
        self._ledger.end()

    def prepared(self, data: bytes) -> None:
        """Write the parameterized notebook."""
        self._write(data)
        succeed(self._ledger)

    def failed(self, error: NbstepError) -> None:
        """The run ends on an error that no cell has."""
        note_failure(self._ledger, error)
        self._ledger.end()

    def _write(self, data: Source) -> None:
        try:
            self._copy(data)
        except OSError as error:
            raise StorageUnavailableError(
                f"the notebook could not be written to standard output: {error.strerror or error}", hint=PIPE_HINT
            ) from error

    def _copy(self, data: Source) -> None:
        if isinstance(data, bytes):
            self._stream.write(data)
        else:
            with data.open("rb") as file:
                shutil.copyfileobj(file, self._stream)
        self._stream.flush()


def succeed(ledger: Ledger, **fields: str) -> None:
    """End a run that had nothing to execute."""
    ledger.change(state=RunState.SUCCEEDED, exit_code=int(ExitCode.SUCCEEDED), **fields)
    ledger.end()


def note_failure(ledger: Ledger, error: NbstepError) -> None:
    """Write an error down as the verdict, its context for those who look closer."""
    ledger.result = results.failed(ledger.result, error)
    if error.context:
        ledger.say(error.context, Severity.DEBUG)
