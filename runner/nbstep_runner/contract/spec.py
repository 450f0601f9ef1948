"""What is asked for: one run of one notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from nbstep_runner.contract.needs import needs_of, since
from nbstep_runner.contract.sources import ParameterSource, UnknownParameters
from nbstep_runner.contract.storage import StorageOptions


class HtmlAllow(StrEnum):
    """What the page of a notebook lets the notebook's output do in a reader's browser."""

    NOTHING = "nothing"
    SCRIPTS = "scripts"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long things may take, in seconds of a monotonic clock; ``None`` is without bound.

    Attributes:
        run: From the start of the first cell to the end of the last.
        cell: For each cell; a cell's own ``metadata.execution.timeout`` goes before it.
        stall: Without any sign of life from the kernel: no message, no heartbeat, no CPU time used. ``None`` leaves
            the choice to the kernel's kind: 120 s where heartbeats are answered while a cell computes (every kernel
            built on ipykernel), none elsewhere. 0 turns it off.
        start: From launching the kernel until it is ready.
        shutdown: For the kernel's own exit (its ``atexit`` handlers) before it is killed.
        grace: From SIGTERM until the process has to be gone: interrupting, saving and publishing share it.
    """

    run: float | None = None
    cell: float | None = None
    stall: float | None = None
    start: float = 60.0
    shutdown: float = 5.0
    grace: float = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLimits:
    """How many bytes of output the executed notebook keeps; the log keeps all of it.

    Attributes:
        text_bytes: Of one printed text, which keeps its head and tail with a line between that says what is missing
            and where it is.
        cell_bytes: Of one cell's outputs; further ones are replaced by such a line.
        notebook_bytes: Of all outputs.
        state_bytes: Of the state folder, which is no output: a larger one is not saved.
    """

    text_bytes: int = 4 * 2**20
    cell_bytes: int = 16 * 2**20
    notebook_bytes: int = 512 * 2**20
    state_bytes: int = field(default=10 * 2**30, metadata=since("0.2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """A file that the notebook finds in its working directory.

    Attributes:
        path: Where, relative to the working directory, with ``/`` between segments; never outside of it.
        uri: Where it is fetched from.
        checksum: ``sha256:…`` of its bytes.
    """

    path: str
    uri: str
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingOptions:
    """How a notebook is served once its last cell has succeeded.

    Attributes:
        name: The model's, in the addresses of the Open Inference Protocol.
        host: The address to listen on; on a loopback address, only requests for loopback's names are answered.
        port: 0 takes a free one.
        body_bytes: The largest body of a request that is read.
        request_seconds: How long a request may take, its body and its wait included each.
        concurrency: Calls of the served function at once.
        waiting: Requests that may wait for one of them; further ones are answered with 503.
    """

    name: str = "model"
    host: str = "127.0.0.1"
    port: int = 0
    body_bytes: int = 64 * 2**20
    request_seconds: float = 60.0
    concurrency: int = 4
    waiting: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One run of one notebook: everything that decides what happens, and nothing that results from it.

    Attributes:
        run_id: Names the work; retries of the same work keep it.
        attempt: Counts from 1; not part of the work's digest.
        input_uri: The notebook to run; ``-`` is standard input.
        output_uri: Where the executed notebook goes; ``-`` is standard output.
        parameters: Sources in order; a later one wins.
        kernel: Overrides the notebook's kernel name.
        language: Overrides the notebook's language.
        working_directory: The kernel's; the runner's own when ``None``.
        checkpoint_seconds: At most this long between partial notebooks in storage; 0 turns them off.
        files: Fetched into the working directory before the first cell.
        collect: Which files that the notebook writes in the working directory are stored, by :class:`Pattern`.
        labels: Free text to find runs by.
        html_allow: Whether the page runs the notebook's scripts, and whether they may fetch something.
        only_tags: Run only code cells with one of these tags, and the parameters; the others are skipped.
        skip_tags: Skip code cells with one of these tags.
        stock_kernel: Launch the kernel exactly as its specification says, without our faster start.
        allow_errors: Go on after a failing cell; the run still ends as failed.
        strict_shell: A cell with a command (``!``) that failed has failed.
        error_cells: Mark the failing cell as papermill does, with a cell at the top of the notebook and one before it.
        short_notice: Whoever stops the run may leave it less than a second: after a signal nothing is waited for, and
            notebook, record and log are written side by side.
        force: Run even if a final record of the same work exists, and begin anew whatever state is there.
        state: Keep the folder ``NBSTEP_STATE_DIR`` from attempt to attempt, below ``OUT.state/``.
        resume: Run even if the same work has failed for good, and go on from the newest state, of whatever work it is;
            implies ``state``. Not part of the work's digest, as ``attempt`` and ``force`` are not.
        state_from: The output of another run, a URI, whose newest state is gone on from where this run has none yet.
        needs: What a runner must know to make this run, such as ``deadlines.idle>=0.2``. The spec itself lists its
            fields that came after 0.1 and are not at their default; see :mod:`nbstep_runner.contract.needs`.
        serving: Serve what the notebook offers, until the run is stopped; ``None`` for an ordinary run.
    """

    run_id: str
    input_uri: str
    output_uri: str
    attempt: int = 1
    parameters: tuple[ParameterSource, ...] = ()
    unknown_parameters: UnknownParameters = UnknownParameters.ERROR
    kernel: str | None = None
    language: str | None = None
    working_directory: str | None = None
    files: tuple[InputFile, ...] = ()
    deadlines: Deadlines = field(default_factory=Deadlines)
    limits: OutputLimits = field(default_factory=OutputLimits)
    storage: StorageOptions = field(default_factory=StorageOptions)
    checkpoint_seconds: float = 30.0
    labels: dict[str, str] = field(default_factory=dict)
    report_mode: bool = False
    prepare_only: bool = False
    html: bool = False
    html_allow: HtmlAllow = field(default=HtmlAllow.NOTHING, metadata=since("0.2"))
    stock_kernel: bool = False
    allow_errors: bool = False
    only_tags: tuple[str, ...] = field(default=(), metadata=since("0.2"))
    skip_tags: tuple[str, ...] = field(default=(), metadata=since("0.2"))
    strict_shell: bool = field(default=False, metadata=since("0.2"))
    error_cells: bool = field(default=True, metadata=since("0.2"))
    short_notice: bool = field(default=False, metadata=since("0.2"))
    force: bool = False
    state: bool = field(default=False, metadata=since("0.2"))
    resume: bool = field(default=False, metadata=since("0.2"))
    state_from: str = field(default="", metadata=since("0.2"))
    needs: tuple[str, ...] = ()
    collect: tuple[str, ...] = field(default=(), metadata=since("0.2"))
    serving: ServingOptions | None = field(default=None, metadata=since("0.2"))
    schema_version: int = 1

    def __post_init__(self) -> None:
        """List what is needed, beside what a newer launcher has listed of fields that are not known here."""
        object.__setattr__(self, "state", self.state or self.resume or bool(self.state_from))
        needs = dict.fromkeys((*self.needs, *map(str, needs_of(self))))
        object.__setattr__(self, "needs", tuple(needs))
