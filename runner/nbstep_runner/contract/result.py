"""The record of a run, which is the only source of its verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from nbstep_runner.contract.spec import RunSpec
from nbstep_runner.contract.states import CellState, ErrorInfo, RunState
from nbstep_runner.errors import StorageUnavailableError
from nbstep_runner.nonfinite import read

EXPIRED_LEASES: Final = 10.0
"""So many leases after its last heartbeat a claim counts as expired: no error of a clock is as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRecord:
    """One cell's part of the record.

    Attributes:
        index: The position in the executed notebook, from 0, without the two cells that mark a failure.
        execution_count: The number that Jupyter shows beside the cell; ``None`` where the kernel gave none.
        seconds: Wall time of a monotonic clock.
        cpu_seconds: CPU time of the kernel process and the children it has waited for; ``None`` where unknown.
        peak_memory_bytes: The kernel's peak resident size during the cell; ``None`` where unknown.
        output_bytes: Bytes of output received, kept or not.
    """

    index: int
    id: str | None
    state: CellState
    title: str = ""
    execution_count: int | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    output_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where the run took place.

    Attributes:
        image: The container image that ``NBSTEP_IMAGE`` names, if any.
        packages: Versions of the packages that decide how a notebook runs.
        pod: The pod in which a step of Kubeflow Pipelines runs.
        namespace: The pod's.
    """

    python: str
    nbstep: str
    platform: str
    kernel: str | None = None
    image: str | None = None
    packages: dict[str, str] = field(default_factory=dict)
    pod: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who owns an output while a run is under way.

    Attributes:
        token: Random, made by the owner; the proof of ownership.
        host: Boot id and process namespace of the owner, to recognise an owner that is provably gone.
        heartbeat_at: UTC, RFC 3339; for people. Liveness is judged by change, not by clocks.
        lease_seconds: Without a new heartbeat for this long, the claim is dead.
        best_effort: The store has no conditional writes: two owners are unlikely, not impossible.
        tries: How many owners in a row, this one included, have begun without any of the others having ended.
    """

    token: str
    host: str
    pid: int
    pid_started: int
    heartbeat_at: str
    lease_seconds: float
    best_effort: bool = False
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run was at its last heartbeat.

    Attributes:
        ended: Code cells that have ended.
        cells: Code cells in all.
        title: Of the cell under way.
    """

    ended: int
    cells: int
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """What a run went on from.

    Attributes:
        generation: Of the state.
        run_id: Of the run that saved it.
        attempt: Of that run.
        saved_at: UTC, RFC 3339.
    """

    generation: int
    run_id: str
    attempt: int
    saved_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedFile:
    """A file of the working directory that is stored below ``OUT.files/``.

    Attributes:
        path: Relative to the working directory, with ``/`` between segments.
        checksum: ``sha256:…`` of its bytes.
    """

    path: str
    size: int
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """Files that the notebook wrote and that are stored nowhere.

    Attributes:
        count: How many.
        size: Their bytes.
        names: The first of them, in order of their names.
    """

    count: int
    size: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Serving:
    """That a run serves, or has served.

    Attributes:
        url: Where it answers, as the process itself sees it: behind a Service or a published port it is another.
        since: UTC, RFC 3339.
    """

    url: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePromises:
    """What the place of a run's output promised, as far as this run found out.

    Attributes:
        atomic_replace: A reader sees the old object or the new one, never a part.
        conditional_write: The store itself checks that an object is still at the version that was expected.
        verified: The store confirmed the stored bytes, or they were read back.
    """

    atomic_replace: bool
    conditional_write: bool
    verified: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The record of a run: ``OUT.result.json``, the commit marker, and what launchers read.

    Attributes:
        claim: Present while the state is ``running``.
        progress: Present while the state is ``running`` and cells run; as old as the heartbeat.
        exit_code: The code that the process ended with; ``None`` while it runs.
        results: Values that the notebook reported by name; NaN and infinities are numbers (``nonfinite``).
        output_version: The store's version of the output notebook.
        output_checksum: ``sha256:…`` of the output notebook's bytes.
        parameters: What the notebook was given; secrets as their references.
        warnings: What a reader of the result should know, such as a checkpoint or log that could not be written.
        store: What the output's place promised; ``None`` where nothing was published.
        state_generation: The newest generation of the run's state, which the next attempt would go on from; ``None``
            where no state is kept, or none was saved.
        continued_from: What this attempt went on from; ``None`` where it began anew.
        failed_before: How many attempts in a row have failed before this one for a reason that may pass; others that
            were stopped or killed in between do not count. ``None``: the runner is one that counts none.
        files: What was collected of the working directory.
        left_behind: What was not, though it was asked for or the working directory goes with the run.
        serving: Since when the run serves what its notebook offers; its state stays ``running`` meanwhile.
    """

    run_id: str
    attempt: int
    spec_digest: str
    state: RunState
    input_uri: str
    output_uri: str
    exit_code: int | None = None
    error: ErrorInfo | None = None
    claim: Claim | None = None
    started_at: str = ""
    ended_at: str | None = None
    seconds: float | None = None
    cells: tuple[CellRecord, ...] = ()
    results: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    output_version: str | None = None
    output_checksum: str | None = None
    log_uri: str | None = None
    html_uri: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    environment: Environment | None = None
    warnings: tuple[str, ...] = ()
    store: StorePromises | None = None
    files: tuple[CollectedFile, ...] = ()
    left_behind: LeftBehind | None = None
    serving: Serving | None = None
    progress: Progress | None = None
    state_generation: int | None = None
    continued_from: Continuation | None = None
    failed_before: int | None = None
    schema_version: int = 1

    @classmethod
    def blank(cls, spec: RunSpec, shown: Callable[[str], str]) -> RunResult:
        """The record of a run of which nothing is known but what was asked for.

        Args:
            spec: What was asked for.
            shown: Hides the credentials of a URI.
        """
        return cls(
            run_id=spec.run_id,
            attempt=spec.attempt,
            spec_digest="",
            state=RunState.PENDING,
            input_uri=shown(spec.input_uri),
            output_uri=shown(spec.output_uri),
            labels=spec.labels,
            failed_before=0,
        )

    @property
    def was_interrupted(self) -> bool:
        """Whether it was ended by what says nothing of it: a stop, or a storage that was away."""
        away = self.error is not None and self.error.reference == StorageUnavailableError.reference
        return self.state is RunState.CANCELLED or away

    @property
    def failures(self) -> int:
        """How many attempts in a row have failed for a reason that may pass, with this one where it has."""
        may_pass = self.state is RunState.FAILED and self.error is not None and self.error.retryable
        if self.state in (RunState.SUCCEEDED, RunState.FAILED) and not may_pass:
            return 0
        return (self.failed_before or 0) + may_pass

    def __post_init__(self) -> None:
        """Read the results' numbers."""
        object.__setattr__(self, "results", read(self.results))
