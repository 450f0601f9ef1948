"""An output in a store: looked at, claimed, published with what lies beside it, committed by its record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from nbstep_runner.contract import RunResult, RunSpec, RunState, StorePromises, SweepTurn, encode
from nbstep_runner.errors import OutputConflictError
from nbstep_runner.session.abandoned import Claimed
from nbstep_runner.session.attempts import keep_attempt
from nbstep_runner.session.claim import DOING, OutputClaim
from nbstep_runner.session.collecting import FileCollector
from nbstep_runner.session.earlier import (
    NO_RECORD,
    Existing,
    OutputPlace,
    answers,
    holds_what_is_recorded,
    is_last_word,
    is_settled,
    look_at_output,
    read_existing,
    refuse_changed,
    wait_until_free,
)
from nbstep_runner.session.ledger import Ledger
from nbstep_runner.session.places import Places
from nbstep_runner.session.run_page import RunPage
from nbstep_runner.session.working_files import WorkingFiles
from nbstep_runner.session.writer import (
    COMPANION_SHARE,
    CONFIRM_SHARE,
    LOG_SHARE,
    NOTEBOOK_SHARE,
    PUBLISHING,
    RunWriter,
)
from nbstep_runner.sinks.checkpoint import Checkpointer
from nbstep_runner.stores import ABSENT, Source, Store, checksum, is_remote
from nbstep_runner.supervisor import Supervisor, begin

BEST_EFFORT: Final = "the store has no conditional writes: a second run of this output was unlikely, not impossible"


class StoredOutput:
    """The place of one run's output.

    Args:
        spec: What was asked for.
        open_store: Finds the store of a URI.
        supervisor: Tells of a stop, and is told of a claim that was lost.
        ledger: The run's record in the making.
        turn: Where other processes make the same runs: why this one is begun. Nothing is waited for then. ``None``
            where nobody else makes it.
        entrust: See :class:`~nbstep_runner.session.run.RunTools`.
    """

    def __init__(
        self,
        spec: RunSpec,
        open_store: Callable[[str], Store],
        supervisor: Supervisor,
        ledger: Ledger,
        turn: SweepTurn | None = None,
        entrust: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self.places = Places.of(spec)
        self._spec = spec
        self._open_store = open_store
        self._supervisor = supervisor
        self._ledger = ledger
        self._turn = turn
        self._claim = OutputClaim(
            open_store,
            self.places.record,
            supervisor.abort,
            lambda: ledger.progress,
            entrust=lambda token: entrust(encode(Claimed(uri=self.places.record, token=token, storage=spec.storage))),
            soon=spec.short_notice,
        )
        self._found: OutputPlace | None = None
        self._writer = RunWriter(open_store, supervisor, ledger)
        self._page = RunPage(spec)
        self._held_back: Source | None = None
        self._publishing: Future[dict[str, Any]] | None = None
        self._checkpointed = False
        self._lost = False
        self._told = False

    def claim_early(self) -> None:
        """Try for the output while the inputs are read, where that saves a round trip."""
        if not self._spec.prepare_only and is_remote(self.places.record):
            self._claim.take_early(self._running)

    def await_turn(self, found: OutputPlace) -> None:
        """Wait until no live claim of another run is in the way; take the output now where others may be about to.

        Raises:
            OutputConflictError: Another run holds the output.
        """
        self._claim.settle(self._supervisor)
        if self._claim.held:  # the record that was found may be this run's own, which took a free place
            found = OutputPlace(NO_RECORD, found.version)
        elif self._turn is not None:
            refuse_changed(found.existing, self._turn.digest)
        else:
            store, existing = self._open_store(self.places.record), found.existing
            wait = partial(wait_until_free, store, self.places.record, existing, self._spec.run_id)
            if self._supervisor.call(wait, doing="waiting for the output") != existing:
                look = partial(look_at_output, self.places, self._open_store)
                found = self._supervisor.call(look, doing="looking at the output")
        self._found = found
        if not self._anew and self.earlier is not None and self.earlier.run_id == self._spec.run_id:
            self._ledger.change(failed_before=self.earlier.failures)
        if self._turn is not None and not is_last_word(self.earlier):
            self.claim()  # before the inputs are judged: of several processes one alone finds out that they are away

    @property
    def _anew(self) -> bool:
        """Whether what came of earlier attempts does not count."""
        return self._turn is not None and self._turn.outdated

    @property
    def earlier(self) -> RunResult | None:
        """The record that was at the output's place when the run began, if there was one."""
        return self._found.existing.record if self._found else None

    def answer(self, digest: str) -> RunResult | None:
        """The final record of this very work, if there is one and its notebook is still there."""
        record = self.earlier
        if self._found is None or record is None or self._spec.force or not answers(record, digest):
            return None
        if self._spec.resume and record.state is RunState.FAILED:
            return None
        look = partial(holds_what_is_recorded, self._found, record, self._spec.output_uri, self._open_store)
        return record if self._supervisor.call(look, doing="looking at the output") else None

    def claim(self) -> None:
        """Take the output; a stop does not cut that short, for nobody would end a claim that nobody knows of.

        Raises:
            OutputConflictError: Another run was faster.
        """
        self._supervisor.check()
        if self._claim.held:
            self._claim.describe(self._running)
        elif self._found is not None:
            existing = self._found.existing
            self._keep_earlier(existing.record, despite_stop=False)
            self._supervisor.call(partial(self._take, existing), doing=DOING, despite_stop=True)
        self._ledger.result = self._running
        self._warn_of_best_effort()
        self._supervisor.check()

    def _take(self, existing: Existing) -> None:
        """Take the output over what was found; also where its run, which was gone, has been settled meanwhile."""
        tries = 1 if self._anew else existing.tries + 1
        try:
            self._claim.take(self._running, existing.version, tries=tries)
        except OutputConflictError:
            now = read_existing(self._open_store(self.places.record), self.places.record)
            if not is_settled(existing, now):
                raise
            self._claim.take(self._running, now.version, tries=tries)

    def _keep_earlier(self, record: RunResult | None, *, despite_stop: bool) -> None:
        """Put what an earlier attempt of this run left where this one does not write over it."""
        if record is None or record.run_id != self._spec.run_id or record.attempt >= self._spec.attempt:
            return
        keep = partial(keep_attempt, self.places.output, record, self._open_store)
        doing = f"keeping what attempt {record.attempt} left"
        if despite_stop:
            self._writer.spare(keep, doing)
        else:
            self._writer.attempt(partial(self._supervisor.call, keep, doing=doing, share=COMPANION_SHARE))

    def describe(self) -> None:
        """Let the claim say at once what is known of the run by now."""
        if self._claim.held:
            self._claim.describe(self._ledger.result, at_once=True)

    @property
    def _running(self) -> RunResult:
        return replace(self._ledger.result, state=RunState.RUNNING, log_uri=self.places.shown.log)

    def confirm_claim(self) -> None:
        """Make sure that the output is this run's, for what is written before its end.

        Raises:
            OutputConflictError: It is another's by now.
            StorageUnavailableError, StorageDeniedError: The store does not say.
        """
        self._claim.confirm()

    def prepare_page(self) -> None:
        """Begin what a page takes beside the cells, where they leave room for it."""
        self._page.prepare()

    def checkpointer(self, scratch: Path) -> Checkpointer | None:
        """What writes the partial notebook, if one is wanted."""
        if not self._spec.checkpoint_seconds:
            return None
        return Checkpointer(self._open_store(self.places.partial), self.places.partial, scratch, self._ledger.tell)

    def prepared(self, data: bytes) -> None:
        """Publish a notebook that was not run, over whatever is there; the record that speaks of that goes first.

        Raises:
            OutputConflictError: Another run has taken the output since.
            StorageUnavailableError, StorageDeniedError: The store does not take it.
        """
        version = self._found.existing.version if self._found else ABSENT
        if version != ABSENT:
            remove = partial(self._open_store(self.places.record).delete, self.places.record, if_version=version)
            self._writer.call(remove, "removing the earlier record")
        self._remove_partial()
        self._ledger.change(output_version=self._writer.write(self.places.output, data))

    def publish(self, data: Source, *, checkpointed: bool, at_once: bool = False) -> None:
        """Confirm the claim, then put the notebook in place, and then what its readers may want besides.

        Args:
            data: The executed notebook.
            checkpointed: There may be a partial notebook.
            at_once: The record goes first: :meth:`commit` begins the notebook behind it, and :meth:`complete` ends it.
                The claim is not confirmed by a write of its own: the record's commit does that.

        Raises:
            OutputConflictError: The claim is another's by now; nothing is published.
            StorageUnavailableError, StorageDeniedError: The store does not take the notebook.
        """
        self._checkpointed = checkpointed
        if at_once:
            self._held_back = data
            return
        self._confirm()
        self._ledger.change(**self._place_notebook(data))
        self._warn_of_best_effort()
        if self._spec.html and self._writer.attempt(partial(self._publish_page, data)):
            self._ledger.change(html_uri=self.places.shown.html)
        self._remove_partial()

    def collect(self, working: WorkingFiles, reported: Sequence[str], *, storing: bool) -> None:
        """Store what is to come back of the working directory, and write down what is not.

        Args:
            working: The working directory.
            reported: Paths that the notebook reported as results.
            storing: Whether there is time for it, and a place that takes anything.

        Raises:
            OutputConflictError: The claim is another's by now; nothing is stored.
            StorageUnavailableError, StorageDeniedError: The store does not take a file, or not in time.
        """
        if self._lost:
            return
        collector = FileCollector(self._open_store(self.places.files), self.places.files, self._writer, self._ledger)
        if storing and (working.wants(reported) or self.earlier is not None):
            self._confirm()
        collector.collect(working, reported, storing=storing)
        if storing and self.earlier is not None:
            self._writer.spare(collector.remove_others, "removing older files")

    def _begin_notebook(self) -> None:
        """Send the notebook of a run that was stopped at short notice: its output is its own, the commit has shown."""
        if self._held_back is not None:
            self._publishing = begin(partial(self._place_notebook, self._held_back), PUBLISHING)
            self._held_back = None

    def complete(self) -> None:
        """Wait for a notebook that was begun behind the record.

        Raises:
            NbstepError: As :meth:`publish`.
        """
        if self._publishing is None:
            return
        self._ledger.change(**self._publishing.result())
        self._remove_partial()

    def _warn_of_best_effort(self) -> None:
        """Say what a store has not promised, which some are found out in by a write only."""
        if (
            BEST_EFFORT not in self._ledger.result.warnings
            and not self._open_store(self.places.record).conditional_write
        ):
            self._ledger.change(warnings=(*self._ledger.result.warnings, BEST_EFFORT))

    def _confirm(self) -> None:
        try:
            self._writer.call(self._claim.confirm, "confirming the claim", share=CONFIRM_SHARE)
        except OutputConflictError:
            self._lost = True
            raise

    def _place_notebook(self, data: Source) -> dict[str, Any]:
        """Replace the notebook that was there when the run began, or whatever an attempt that lost has left since.

        Returns:
            What the record says of it.
        """
        assert self._found is not None  # noqa: S101 - nothing is executed before the claim is taken
        store = self._open_store(self.places.output)
        write = partial(self._writer.write, self.places.output, data, share=NOTEBOOK_SHARE)
        try:
            version = write(self._found.version)
        except OutputConflictError:
            self._confirm()
            stat = self._writer.call(partial(store.stat, self.places.output))
            version = write(stat.version if stat else ABSENT)
        promises = StorePromises(
            atomic_replace=store.atomic_replace, conditional_write=store.conditional_write, verified=store.verified
        )
        return {"output_version": version, "output_checksum": checksum(data), "store": promises}

    def _publish_page(self, data: Source) -> None:
        """Render the page and tell what it does not show.

        It is written only once it is whole, so that none comes after the record that says there is none.
        """
        render = partial(self._page.render, data, self._ledger.so_far)
        page = self._writer.call(render, "rendering the page", share=COMPANION_SHARE)
        self._writer.write(self.places.html, page.content, doing="publishing the page", share=COMPANION_SHARE)
        for warning in page.warnings:
            self._ledger.warn(warning)

    def _remove_partial(self) -> None:
        """Remove the partial notebook of this run, or of an attempt that was killed: the finished one is there."""
        record = self.earlier
        if self._checkpointed or (record is not None and not record.state.final):
            delete = partial(self._open_store(self.places.partial).delete, self.places.partial)
            self._writer.spare(delete, "removing the partial notebook")

    def commit(self) -> None:
        """Put the record in the claim's place: the run has ended as it says.

        A run that failed before it had a claim leaves alone the final record of another run, and of its own what an
        earlier attempt has settled; a record that has answered is left as it is, but for a run of a sweep, whose turn
        is written into it.

        Raises:
            OutputConflictError: The claim is another's by now; what was published is withdrawn, unless a record that
                was committed has told of it.
            StorageUnavailableError, StorageDeniedError: The store does not take it.
        """
        self._claim.settle(self._supervisor)
        result, found = self._ledger.result, self._found
        if self._lost or (found is None and not self._claim.held):
            return
        if self._claim.held:
            try:
                self._writer.call(partial(self._claim.commit, result))
            except OutputConflictError:
                if not self._told:
                    self._withdraw()
                raise
            self._told = result.output_version is not None
            self._begin_notebook()
            return
        assert found is not None  # noqa: S101 - see above
        record = found.existing.record
        if record == result:  # it answers for this run
            self._write_again(result, found.existing.version)
        elif record is None or not self._leaves_alone(record):
            self._keep_earlier(record, despite_stop=True)
            self._writer.write(self.places.record, encode(self._ledger.result, indent=1), found.existing.version)

    def _leaves_alone(self, record: RunResult) -> bool:
        """Whether a record stands, though this run, which had no claim, has failed.

        A failure of this run's own stands for the same work alone, as far as this attempt came to know its work.
        """
        if record.run_id != self._spec.run_id:
            return record.state.final
        anew = self._spec.force or self._spec.resume
        same = self._ledger.result.spec_digest in ("", record.spec_digest)
        return record.state is RunState.SUCCEEDED or (is_last_word(record) and same and not anew)

    def _write_again(self, record: RunResult, version: str) -> None:
        """Show the other processes of a sweep, by the record's new version, that it answers in this sweep too."""
        if self._turn is not None:
            with suppress(OutputConflictError):  # one of them has shown it
                self._writer.write(self.places.record, encode(record, indent=1), version)

    def _withdraw(self) -> None:
        """Take back what was published, where it is still what this run has written."""
        self._lost = True
        self._writer.withdraw()
        self._ledger.change(output_version=None, output_checksum=None, html_uri=None, store=None)

    def store_log(self, path: Path) -> None:
        """Put the whole log beside the notebook."""
        if self._claim.held and not self._lost:
            write = partial(self._open_store(self.places.log).write, self.places.log, path)
            self._writer.spare(write, "publishing the log", share=LOG_SHARE)
