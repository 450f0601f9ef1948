"""What the interface says of runs: the types that a service writes, and that those who ask it read.

Fields are only ever added, with a default, so that either side may be the older one.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from nbstep_runner.contract import CellRecord, ErrorInfo, Progress, RunResult, RunState
from nbstep_runner.nonfinite import written

EVENT_ID: Final = re.compile(r"([1-9]\d{0,17})-([1-9]\d{0,17})")
"""``ATTEMPT-SEQ``: what a line of a log is known by, where it has a number."""


class Accepted(msgspec.Struct, frozen=True):
    """A run that was started, or asked to end."""

    id: str
    folder: str


class ProblemTold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem as RFC 9457 has it. Its type is the default one, ``about:blank``: ``reference`` says which it is.

    Attributes:
        title: What the status means.
        hint: What to do, where there is something to say.
    """

    title: str
    status: int
    detail: str
    reference: str
    hint: str = ""


class ProblemOfRun(msgspec.Struct, frozen=True):
    """Why a run failed."""

    reference: str
    message: str
    hint: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a list, as its record tells it.

    Attributes:
        id: The name of its folder, by which it is found; what a record says of itself is no name.
        results: Values that the notebook reported; numbers that JSON cannot write stand as in records.
        whole: Whether parameters and results are there: those that are too large for a list are left out of it.
    """

    id: str
    folder: str
    state: RunState
    attempt: int
    notebook: str
    started_at: str
    ended_at: str | None
    seconds: float | None
    exit_code: int | None
    parameters: dict[str, Any]
    results: dict[str, Any]
    labels: dict[str, str]
    progress: Progress | None
    error: ProblemOfRun | None
    whole: bool = True


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs, the one that was written last first.

    Attributes:
        next: The cursor of the next page; ``None`` where this is the last. A page may hold fewer runs than were asked
            for, and still have a next one: only so many records are read for one.
        listed_at: When the folder was listed last: runs that came elsewhere or were removed since are told of later.
    """

    runs: tuple[Summary, ...]
    next: str | None
    listed_at: str


class ObjectOfRun(msgspec.Struct, frozen=True):
    """An object that a client may fetch: its name, and its size in bytes."""

    name: str
    size: int


class Detail(Summary, frozen=True, kw_only=True):
    """One run, as its record and its place tell it.

    Attributes:
        words: How it stands, in one sentence.
        problems: What holds it up or went wrong, a sentence each.
        handle: What the launcher knows it by.
        objects: Those that are there.
    """

    words: str
    problems: tuple[str, ...]
    handle: str
    cells: tuple[CellRecord, ...]
    warnings: tuple[str, ...]
    objects: tuple[ObjectOfRun, ...]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands.

    Attributes:
        words: One sentence for people.
        problems: What holds it up or went wrong, a sentence each.
    """

    state: RunState
    words: str
    problems: tuple[str, ...]
    attempt: int | None = None
    exit_code: int | None = None
    progress: Progress | None = None


class SetOfSweep(msgspec.Struct, frozen=True, kw_only=True):
    """One set of parameters of a sweep.

    Attributes:
        state: Of its run, which is pending until there is a record.
        parameters: What the set gives; empty in a list where ``run`` is not whole.
        run: Its run, whose ``folder`` and ``id`` it is asked for by; ``None`` until there is a record.
        ended: Of a sweep that was started: whether ``run`` is the verdict, and not to be made again.
    """

    name: str
    state: RunState
    parameters: dict[str, Any]
    run: Summary | None
    ended: bool = False


class StandingOfSweep(msgspec.Struct, frozen=True, kw_only=True):
    """How a sweep stands that was started.

    Attributes:
        state: Of the whole.
        words: What its place says, in one sentence.
        problems: What holds it up or went wrong, a sentence each.
        cancelled: Somebody asked for its end.
    """

    state: RunState
    words: str
    problems: tuple[str, ...]
    cancelled: bool


class SweepDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep as far as its records tell.

    Attributes:
        folder: What its runs are asked for with: the folder's name and the path of their group.
        metric: The result that tells which set is best; ``None`` where no result has that role.
        shared: The parameters that all sets have alike.
        sets: The best first, where there is a metric; of a sweep that was started, in their own order.
        left_out: How many sets are not told of.
        standing: Of a sweep that was started; ``None`` of a group of runs.
    """

    folder: str
    metric: str | None
    shared: dict[str, Any]
    sets: tuple[SetOfSweep, ...]
    left_out: int
    standing: StandingOfSweep | None = None


class SweepListed(msgspec.Struct, frozen=True, kw_only=True):
    """One sweep of a list.

    Attributes:
        path: By which it is asked for, below its folder.
        runs: How many of its runs have a record.
        modified: When the last of these was written, in seconds since the epoch.
    """

    path: str
    runs: int
    modified: float


class SweepList(msgspec.Struct, frozen=True, kw_only=True):
    """The sweeps below a folder, the last written first; ``left_out`` more are not told of."""

    sweeps: tuple[SweepListed, ...]
    left_out: int


def summary_of(folder: str, run_id: str, record: RunResult) -> Summary:
    """What a list tells of a run."""
    error = record.error
    return Summary(
        id=run_id,
        folder=folder,
        state=record.state,
        attempt=record.attempt,
        notebook=record.input_uri,
        started_at=record.started_at,
        ended_at=record.ended_at,
        seconds=record.seconds,
        exit_code=record.exit_code,
        parameters=record.parameters,
        results=written(record.results),
        labels=record.labels,
        progress=record.progress,
        error=ProblemOfRun(error.reference, error.message, error.hint) if error else None,
    )


def record_of(summary: Summary, output_uri: str) -> RunResult:
    """The same as a record that has no more than that."""
    error = summary.error
    return RunResult(
        run_id=summary.id,
        attempt=summary.attempt,
        spec_digest="",
        state=summary.state,
        input_uri=summary.notebook,
        output_uri=output_uri,
        exit_code=summary.exit_code,
        error=ErrorInfo(reference=error.reference, message=error.message, hint=error.hint) if error else None,
        started_at=summary.started_at,
        ended_at=summary.ended_at,
        seconds=summary.seconds,
        results=summary.results,
        parameters=summary.parameters,
        labels=summary.labels,
        progress=summary.progress,
    )
