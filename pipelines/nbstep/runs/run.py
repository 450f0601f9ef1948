"""A submitted run: its state, its log, its verdict, from any process that knows its name."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from nbstep.backends.protocol import Backend, Located, Phase, Status
from nbstep.backends.stores import keeper_of, store_of
from nbstep.errors import NotStartedError, RunNotFoundError, error_of
from nbstep.runs.files import chosen, download
from nbstep.runs.log import complete, stored_log
from nbstep.runs.verdict import can_be_retried, combine, earlier_verdicts, final_record, is_doubtful, patience, settle
from nbstep.runs.wait import wait_all, wait_async
from nbstep.views import log_lines
from nbstep.views.status import RunStatus
from nbstep_runner.contract import (
    EXPIRED_LEASES,
    FILES,
    PAGE_ENDING,
    PARTIAL_ENDING,
    RECORD_ENDING,
    CollectedFile,
    RunResult,
    RunSpec,
    RunState,
    StorageOptions,
    decode,
)
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import ABSENT, Store, redact, sibling

if TYPE_CHECKING:
    from nbstep.views.notebook import ExecutedNotebook

_MADE_ID: Final = re.compile(r"-\d{8}-\d{6}-[0-9a-f]{6}$")
UNREADABLE_SECONDS: Final = 60.0
"""A damaged record has to stay so long as it is: where nothing is replaced in one step, it may be being written."""
_EARLIER: Final = 50


class Run:
    """A run that was submitted. ``str(run)`` is its handle, by which :func:`nbstep.find` finds it again.

    In Jupyter it shows itself and keeps what it shows up to date.

    Attributes:
        located: Where its objects lie.
        backend: Where it takes place.
    """

    def __init__(self, handle: str, located: Located, backend: Backend) -> None:
        self.handle = handle
        self.located = located
        self.backend = backend
        self._final: RunResult | None = None
        self._unchanged: tuple[str, float] | None = None

    def __str__(self) -> str:
        return self.handle

    def __repr__(self) -> str:
        return f"<nbstep.Run {self.handle}>"

    @property
    def id(self) -> str:
        """The run's id."""
        return self.located.run_id

    @property
    def output_uri(self) -> str:
        """Where the executed notebook is, or will be."""
        return self.located.output_uri

    @property
    def html_uri(self) -> str:
        """Where the executed notebook's HTML is, or will be if it was asked for."""
        return sibling(self.output_uri, PAGE_ENDING)

    def record(self) -> RunResult | None:
        """What lies in storage: the claim of a run under way, or its verdict; ``None`` before it began."""
        return self._read_record()[0]

    def attempts(self) -> list[RunResult]:
        """The record of each attempt, the oldest first; the last is :meth:`record`, where there is one.

        One that a cluster took away and started again has several.
        """
        newest = self.record()
        if newest is None:
            return []
        earlier = () if newest.attempt == 1 else earlier_verdicts(self.store, self.output_uri)
        return [*(record for record in earlier if record.attempt < newest.attempt), newest]

    def status(self) -> RunStatus:
        """How it stands now.

        A run that ended without a verdict gets one written, so that everybody reads the same from then on.

        Raises:
            RunNotFoundError: It is a service's, which does not know it any more.
        """
        if self._final is not None:
            return combine(Status(phase=Phase.ENDED), self._final)
        return self.status_seen(self.backend.statuses([self.handle])[self.handle], read_record=True)

    def status_seen(self, seen: Status, *, read_record: bool = False) -> RunStatus:
        """How it stands, given what its place has just said; its record is read once that says that it is over.

        Args:
            seen: What its place said.
            read_record: Read the record in any case: that of a run under way says how far it is.
        """
        if self._final is not None:
            return combine(Status(phase=Phase.ENDED), self._final)
        if seen.phase in (Phase.PENDING, Phase.RUNNING) and not read_record:
            return combine(seen, None)
        record, version = self._read_record()
        silent = self._is_silent(record, version)
        status = combine(seen, record, silent=silent)
        if status.state.final and (record is None or not record.state.final):
            damaged = record is None and version != ABSENT and seen.phase is Phase.GONE
            if (damaged or is_doubtful(seen, record)) and not silent:
                sign = "its record cannot be read" if damaged else "its last heartbeat is old"
                words = f"{seen.words}; {sign}, and it is given up if no other comes"
                return RunStatus(state=RunState.RUNNING, words=words, problems=seen.problems, record=record)
            settled = self._write_verdict(seen, record, version)
            if settled is None:
                return RunStatus(state=RunState.RUNNING, words=seen.words, problems=seen.problems)
            record, status = settled, combine(seen, settled)
        if status.state.final:
            self._final = record
        return status

    @property
    def state(self) -> RunState:
        """How it stands now, in one word."""
        return self.status().state

    def wait(self, timeout: float | None = None, *, check: bool = True) -> RunResult:
        """Wait for the end and return the record.

        Args:
            timeout: Seconds to wait; ``None`` is without bound.
            check: Raise the run's own error if it did not succeed.

        Raises:
            WaitTimeoutError: It has not ended by then. It goes on.
            NbstepError: How it failed, such as ``CellFailedError``, with the cell's traceback as a note.
        """
        return wait_all([self], timeout, check=check)[0]

    def verdict(self, status: RunStatus, *, check: bool) -> RunResult:
        """The record of a final status.

        Raises:
            NbstepError: How it failed, if ``check``.
        """
        if status.record is None:
            raise NotStartedError(f"the run {self.id} has no record: {status.words}")
        if check and status.record.state is not RunState.SUCCEEDED and status.record.error is not None:
            raise error_of(status.record.error)
        return status.record

    async def wait_async(self, *, check: bool = True) -> RunResult:
        """As :meth:`wait`; any number of runs that are awaited at once are looked at together.

        ``asyncio.timeout`` bounds it.
        """
        return await wait_async(self, check=check)

    @property
    def results(self) -> dict[str, Any]:
        """The values that the notebook reported by name; empty before the end."""
        record = self._last_word()
        return record.results if record else {}

    def lines(self, *, follow: bool = False, until: Callable[[], bool] = lambda: False) -> Iterator[log_lines.LogLine]:
        """The log's lines, each once.

        Args:
            follow: To the end of the run.
            until: Asked whenever there is nothing new: the lines end once it is true.
        """
        lines = map(log_lines.parse, self._raw_lines(follow=follow, until=until))
        stored = partial(stored_log, self.store, self.output_uri, read_record=self.record)
        yield from complete(lines, self.id, lambda: record.attempt if (record := self.record()) else 1, stored)

    def _raw_lines(self, *, follow: bool, until: Callable[[], bool]) -> Iterator[bytes]:
        """The lines that its place gives; none where that has forgotten it."""
        with suppress(RunNotFoundError):
            for line in self.backend.logs(self.handle, follow=follow):
                if line is not None:
                    yield line
                elif until():
                    return

    def logs(self, *, follow: bool = False, file: TextIO | None = None) -> None:
        """Print the log for people; to the end of the run if ``follow``."""
        log_lines.print_lines(self.lines(follow=follow), file)

    def cancel(self) -> None:
        """Ask the run to save what it has and end. Returns at once; :meth:`wait` sees the end."""
        self.backend.cancel(self.handle)

    def notebook(self) -> ExecutedNotebook:
        """The executed notebook as plain data, which Jupyter shows as a page; of a run under way the newest checkpoint.

        Raises:
            InputNotFoundError: There is none yet.
        """
        from nbstep.views.notebook import ExecutedNotebook  # who submits a run has no notebook of it yet

        places = [self.output_uri, sibling(self.output_uri, PARTIAL_ENDING)]
        for uri in places:
            with suppress(InputNotFoundError):
                data = self.store.read(uri).data
                return ExecutedNotebook(data, uri, self._last_word())
        raise self.no_notebook()

    def no_notebook(self) -> InputNotFoundError:
        """Why there is nothing to open."""
        record = self.record()
        if record is None or not record.state.final:
            hint = f"Wait for its end: nbstep wait {self.id}."
            return InputNotFoundError(f"the run {self.id} has no notebook yet", hint=hint)
        reason = f": {record.error.message}" if record.error else ""
        said = f"the run {self.id} is {record.state} and left no notebook{reason}"
        return InputNotFoundError(said, hint="Mend the cause, and run it again.")

    @property
    def files_uri(self) -> str:
        """The folder of the files that came back."""
        return sibling(self.output_uri, FILES)

    def files(self) -> tuple[CollectedFile, ...]:
        """What the run has collected of its working directory; nothing before its end."""
        record = self._last_word()
        return record.files if record else ()

    def download(self, to: str | Path = ".", *, only: Sequence[str] = ()) -> list[Path]:
        """Fetch collected files into a folder, each to its path below it, over what is there.

        Args:
            to: The folder; made if it is missing.
            only: Patterns of those that are wanted, such as ``"*.csv"`` or ``"model/"``; all if none is given.

        Raises:
            BadInputError: A pattern takes no file, or a file is not what the record says.
            InputNotFoundError, StorageDeniedError, StorageUnavailableError: One cannot be read, or not be written here.
        """
        wanted = chosen(self.files(), only)
        return [download(self.store, self.output_uri, file, Path(to)) for file in wanted]

    @property
    def store(self) -> Store:
        """Where the run's objects lie."""
        return store_of(self.output_uri, self.located.storage)

    def spec(self) -> RunSpec:
        """What was asked for."""
        return decode(self.store.read(self.located.spec_uri).data, RunSpec)

    def _last_word(self) -> RunResult | None:
        """The record once no other attempt can follow; its place is asked only where one might."""
        record = self._final or self.record()
        if record is None or not record.state.final or not can_be_retried(record):
            return record if record and record.state.final else None
        status = self.status()
        return status.record if status.state.final else None

    @property
    def _record_uri(self) -> str:
        return sibling(self.output_uri, RECORD_ENDING)

    def _read_record(self) -> tuple[RunResult | None, str]:
        """The record and its version; a damaged one, such as one that is being written, says nothing."""
        try:
            blob = self.store.read(self._record_uri)
        except InputNotFoundError:
            return None, ABSENT
        try:
            return decode(blob.data, RunResult), blob.version
        except BadInputError:
            return None, blob.version

    def _is_silent(self, record: RunResult | None, version: str) -> bool:
        """Whether the record has stayed at its version for so long that its run is given up, as this process saw it."""
        now = time.monotonic()
        if self._unchanged is None or self._unchanged[0] != version:
            self._unchanged = version, now
        if record is None and version != ABSENT:
            return now - self._unchanged[1] >= UNREADABLE_SECONDS or self._was_left_long_ago()
        return now - self._unchanged[1] >= patience(record)

    def _was_left_long_ago(self) -> bool:
        """Whether the record was written so long ago, by its store's clock, that no error of a clock explains it."""
        stat = self.store.stat(self._record_uri)
        modified = stat.modified if stat else None
        return modified is not None and time.time() - modified > EXPIRED_LEASES * UNREADABLE_SECONDS

    def _write_verdict(self, status: Status, record: RunResult | None, version: str) -> RunResult | None:
        """Write the verdict that the run could not write; ``None`` where it has written meanwhile, and goes on.

        Raises:
            RunNotFoundError: It is at a place that alone writes verdicts, and that does not know it.
        """
        if status.phase is Phase.GONE and keeper_of(self.handle) is not None:
            raise RunNotFoundError(status.words, hint="It may have been removed there.")
        verdict = final_record(status, record or RunResult.blank(self.spec(), redact))
        return settle(self.store, self._record_uri, verdict, version)

    @property
    def storage(self) -> StorageOptions:
        """How its objects are reached."""
        return self.located.storage

    @property
    def family(self) -> str:
        """What the ids of runs of the same notebook begin with, where nbstep made them."""
        return _MADE_ID.sub("", self.id)

    def usual_seconds(self) -> float | None:
        """What the newest run of the same notebook in the same folder took that succeeded; ``None`` if none is known.

        Runs are of one notebook where their ids, which nbstep made, differ in time alone.
        """
        stem = self.family
        folder = self.output_uri.rpartition("/")[0].rpartition("/")[0]
        if stem == self.id or not folder:
            return None
        from nbstep.runs.history import history  # who submits a run looks at no others

        earlier = history(folder, storage=self.located.storage, limit=_EARLIER, state=RunState.SUCCEEDED)
        return next((record.seconds for record in earlier if _MADE_ID.sub("", record.run_id) == stem), None)

    def _ipython_display_(self) -> None:
        from nbstep.runs.live import show

        show(self)
