"""A sweep that was submitted: how far it is, its verdict, its end, from any process that knows its name."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Final, TextIO

from nbstep.backends.protocol import Phase, Status, forget
from nbstep.backends.stores import check_removable, store_of
from nbstep.errors import WaitTimeoutError
from nbstep.runs.removal import Removed, check_ended, remove_run
from nbstep.runs.run import Run
from nbstep.runs.wait import until_ended
from nbstep.runs.watch import Look, watch_of
from nbstep.submission.places import SweepPlaces
from nbstep.sweeps.lines import line_of
from nbstep.sweeps.outcome import Listener, Sweep, SweepRun
from nbstep.sweeps.records import SweepRecords, folder_name
from nbstep.sweeps.told import ToldRecords
from nbstep.views import log_lines
from nbstep.views.status import RunStatus
from nbstep_runner.contract import OUTPUT, PLAN, RunState, SweepSpec, decode
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.stores import join, redact

SEVERITIES: Final = {RunState.SUCCEEDED: "INFO", RunState.CANCELLED: "WARNING"}


class SubmittedSweep:
    """A sweep somewhere else. ``str(sweep)`` is its handle, by which :func:`nbstep.find` finds it again.

    Args:
        run: It, as its place and the folder of its objects name it.

    Attributes:
        backend: Where it takes place.
    """

    def __init__(self, run: Run) -> None:
        self.handle = run.handle
        self.id = run.id
        self.backend = run.backend
        self._places = SweepPlaces(run.located.spec_uri.rpartition("/")[0])
        self._store = store_of(self._places.plan, run.located.storage)
        self._records: SweepRecords | ToldRecords | None = None
        self._plan: SweepSpec | None = None
        self._final: RunStatus | None = None
        self._cancelled = False
        self._listeners: list[Listener] = []
        self._told: set[int] = set()

    def __str__(self) -> str:
        return self.handle

    def __repr__(self) -> str:
        return f"<nbstep.SubmittedSweep {self.handle}>"

    def _ipython_display_(self) -> None:
        from nbstep.sweeps.live import show

        show(self)

    @property
    def has_ended(self) -> bool:
        """Whether it had by the last look."""
        return self._final is not None

    @property
    def size(self) -> int:
        """Bytes of the records that it keeps in memory, as they are stored."""
        return self._records.size if isinstance(self._records, SweepRecords) else 0

    @property
    def output(self) -> str:
        """The folder in which each run has its own."""
        return self._places.runs

    def status(self) -> RunStatus:
        """How it stands now; runs that ended without a verdict get one written."""
        return self.status_seen(self.backend.statuses([self.handle])[self.handle])

    def status_seen(self, seen: Status, *, read_record: bool = False) -> RunStatus:
        """How it stands, given what its place has just said.

        Args:
            seen: What its place said.
            read_record: Makes no difference: how far a sweep is is told by its records alone.
        """
        del read_record
        if self._final is not None:
            return self._final
        records = self._known()
        changed = records.look()
        self._cancelled = seen.cancelled
        over = seen.phase in (Phase.ENDED, Phase.GONE) and records.settle(seen)
        self._tell(range(len(records.names)) if over else changed, over=over)
        ends = [records.verdict(index, over=over) for index in range(len(records.names))]
        ended = [record for record in ends if record is not None]
        failed = sum(record.state is not RunState.SUCCEEDED for record in ended)
        words = f"{len(ended)} of {len(ends)} runs have ended, {failed} of them failed"
        if not over:
            state = RunState.PENDING if seen.phase is Phase.PENDING else RunState.RUNNING
            return RunStatus(state=state, words=f"{words}; {seen.words}", problems=seen.problems)
        done = len(ended) == len(ends) and not failed
        stopped = RunState.CANCELLED if seen.cancelled else RunState.FAILED
        self._final = RunStatus(state=RunState.SUCCEEDED if done else stopped, words=words, problems=seen.problems)
        return self._final

    def _tell(self, changed: range | list[int], *, over: bool) -> None:
        """Let the listeners hear what has become of these runs: of an end once."""
        for index in changed:
            run = self._run(index, over=over)
            if index in self._told or (run.result is None and self._known().record(index) is None):
                continue
            if run.result is not None:
                self._told.add(index)
            for listen in self._listeners:
                listen(index, run)

    def _known(self) -> SweepRecords | ToldRecords:
        if self._records is None:
            told = getattr(self.backend, "sweep_told", None)
            if told is None:
                self._records = SweepRecords(self.plan, self._places, self._store)
            else:
                self._records = ToldRecords(partial(told, self.handle), self.output, self._store)
        return self._records

    @property
    def plan(self) -> SweepSpec:
        """Its runs, as they are made there."""
        if self._plan is None:
            self._plan = decode(self._store.read(self._places.plan).data, SweepSpec)
        return self._plan

    def _run(self, index: int, *, over: bool) -> SweepRun:
        records = self._known()
        name = records.names[index]
        return SweepRun(
            name=name,
            parameters=records.sets[index],
            output_uri=join(self._places.runs, f"{name}/{OUTPUT}"),
            result=records.verdict(index, over=over),
        )

    def outcome(self) -> Sweep:
        """What has come of it by the last look: the runs that have not ended have no record."""
        over = self._final is not None
        runs = tuple(self._run(index, over=over) for index in range(len(self._known().names)))
        return Sweep(runs=runs, stopped_by=signal.SIGTERM if over and self._cancelled else None)

    def standing(self) -> list[tuple[SweepRun, bool]]:
        """Each run by the last look, with its record as far as it is, and whether that is its verdict."""
        runs = self.outcome().runs
        records = map(self._known().record, range(len(runs)))
        return [
            (replace(run, result=run.result or record), run.result is not None)
            for run, record in zip(runs, records, strict=True)
        ]

    def wait(self, timeout: float | None = None, *, check: bool = True, listen: Listener | None = None) -> Sweep:
        """Wait for the end of all runs.

        Args:
            timeout: Seconds to wait; ``None`` is without bound.
            check: Raise the first error, in the order of the sets.
            listen: Hears what becomes of each run.

        Raises:
            WaitTimeoutError: It has not ended by then. It goes on.
            NbstepError: With ``check``, how the first run that did not succeed failed.
        """
        if listen is not None:
            self._listeners.append(listen)
        status = until_ended([self], timeout)[self]
        if not status.state.final:
            raise WaitTimeoutError(f"the sweep {self.id} has not ended after {timeout:g} s: {status.words}")
        done = self.outcome()
        if check:
            done.check()
        return done

    def lines(self, *, follow: bool = False) -> Iterator[log_lines.LogLine]:
        """A line for each run that has ended, and for what holds the sweep up; to its end if ``follow``.

        What a notebook prints is in its run's own log, beside its output.
        """
        shown: set[int] = set()
        told: set[str] = set()
        for status in self._looks() if follow else [self.status()]:
            over = status.state.final
            ended = [
                (run.result.ended_at or "", index, run)
                for index, run in enumerate(self.outcome().runs)
                if index not in shown and run.result is not None
            ]
            for _, index, run in sorted(ended, key=lambda each: each[:2]):
                shown.add(index)
                yield self._line(line_of(run), SEVERITIES.get(run.state, "ERROR"))
            for problem in status.problems:
                if problem not in told:
                    told.add(problem)
                    yield self._line(problem, "WARNING")
            if over:
                yield self._line(f"sweep {status.state}: {status.words}", SEVERITIES.get(status.state, "ERROR"))

    def _looks(self) -> Iterator[RunStatus]:
        looks: SimpleQueue[Look] = SimpleQueue()
        with watch_of(self.backend).listening([self], lambda _, look: looks.put(look)):
            while True:
                look = looks.get()
                if isinstance(look, Exception):
                    raise look
                yield look
                if look.state.final:
                    return

    def _line(self, message: str, severity: str) -> log_lines.LogLine:
        return log_lines.parse(log_lines.notice(self.id, message, severity))

    def logs(self, *, follow: bool = False, file: TextIO | None = None) -> None:
        """Print :meth:`lines` for people."""
        log_lines.print_lines(self.lines(follow=follow), file)

    def cancel(self) -> None:
        """Ask it to end: runs under way save what they have, no other is begun. Returns at once."""
        self.backend.cancel(self.handle)

    def delete(self, *, dry_run: bool = False) -> list[Removed]:
        """Remove its runs and all else that it left, where it took place too.

        Runs and inputs that another sweep in the same folder names as well stay: they are that one's too.

        Raises:
            OutputConflictError: It has not ended.
            StorageDeniedError: It is a service's.
            BadInputError: Its plan, or another's in the folder, cannot be read; nothing was removed.
        """
        check_removable(self.output)
        check_ended(self.id, self.status().state)
        own = dict.fromkeys([*self._known().names, folder_name(self.plan.specs[0].input_uri)])
        others = self._named_by_others()
        removed = []
        for name in (name for name in own if name not in others):
            folder = join(self.output, name)
            removed.append(remove_run(self._store, folder, [self._places.record(name)], dry_run=dry_run))
        found_by = [self._places.submission, self._places.plan]
        removed.append(remove_run(self._store, self._places.folder, found_by, dry_run=dry_run))
        if not dry_run:
            forget(self.backend, self.handle)
        return removed

    def _named_by_others(self) -> set[str]:
        """The folders of runs and inputs that the plans of other sweeps beside this one name."""
        names: set[str] = set()
        for stat in self._store.list(join(self.output, "")):
            beside = stat.uri.count("/") == self._places.plan.count("/")  # deeper down a notebook may put anything
            if not (_is_plan(stat.uri) and beside) or stat.uri.split("/")[-2] == self._places.name:
                continue
            with suppress(InputNotFoundError):  # removed meanwhile
                names |= _named_by(stat.uri, self._store.read(stat.uri).data)
        return names


def _named_by(uri: str, data: bytes) -> set[str]:
    """The folders of runs and inputs that a plan names."""
    try:
        specs = decode(data, SweepSpec).specs
    except BadInputError as error:
        raise BadInputError(
            f"{redact(uri)} is no plan of a sweep, and nothing tells which runs beside it are its own",
            hint="Remove that file once nobody needs it.",
        ) from error
    return {folder_name(place) for spec in specs for place in (spec.input_uri, spec.output_uri)}


def _is_plan(uri: str) -> bool:
    return uri.endswith(f"/{PLAN}")


def sweep_of(run: Run) -> SubmittedSweep | None:
    """The sweep that was found as a run; ``None`` where it is one."""
    return SubmittedSweep(run) if _is_plan(run.located.spec_uri) else None
