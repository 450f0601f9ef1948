"""The protocol of a backend: it plans a run, starts it, and finds it again by its handle.

A backend promises:

1. ``plan`` is pure: it asks nobody and changes nothing, and its text is exactly what ``submit`` sends.
2. ``submit`` is idempotent: the same plan twice, or again after a lost answer, is one run.
3. A run is found from its handle by any process of the same user, as long as the place where it runs remembers it.
   The launcher's death never harms it.
4. ``logs`` gives each line once, in order, also after the connection broke; a line that came from us, such as
   what holds up a pod, is a log line of event ``notice`` without ``seq``. ``None`` among the lines says that none has
   come for a while: whoever follows for somebody can stop then. A backend that never says it is followed to the next
   line.
5. ``status`` tells what the place knows. Whether the run succeeded is for its record to say, which lies in storage.
6. ``cancel`` lets the run save what it has: it is SIGTERM, and the grace period is the run's own.

Third parties add backends by the entry point group ``nbstep.backends``: the name is what ``on=`` takes, the object a
class without arguments for its constructor. A backend whose runs do not see what this machine sees, or that takes
required packages, has a method ``reach(profile)`` besides, which returns a :class:`nbstep.backends.reach.Reach`. One
that remembers runs which have ended may have ``forget(handle)``, called once a run is removed. One that can say
whether it would take a plan, without starting it, may have ``check(plan)``, which returns a sentence for ``nbstep
doctor``. One that starts sweeps has ``sweep_workers(jobs)``: how many processes it starts for one, and how many runs
each makes at once, as far as that follows from what was asked for. One that also finds a run by a shorter string than
its handle has ``full_handle(handle)``. Submitted again, a sweep that has ended is started anew. One whose runs are
processes of this machine, as cheap as a call, says ``here = True``: whoever asks for a sweep makes its runs itself, and
``nbstep doctor`` makes a small run unasked. One that has a folder for runs whose profile names none has
``default_runs(profile)``, which returns its URI.

One whose place can serve notebooks names in ``endpoints`` the class of their :class:`nbstep.endpoints.host.Host`, as
``module:Class``. One whose place can run the runner's own command line, watched from here, has ``attached(profile,
arguments, folders)``, a context that gives an :class:`Attached`. One whose runs are objects of a Kubernetes cluster has
``rights(profile)``: the namespace that the profile names, if it does, and the rules of a role that may start and follow
runs in it, which ``nbstep server --manifest`` grants.

A backend of ours that alone gives the objects of its runs, whose URIs begin with its scheme, has ``store()``, which
returns them as a :class:`nbstep_runner.stores.Store`; ``know(profile)``, by which it learns how its place is reached;
and ``rerun(handle, again)``, which has its place run a run again and returns the new run's handle. If it starts sweeps,
it tells of one by ``sweep_told(handle)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, Protocol

from nbstep.profiles import Profile
from nbstep_runner.contract import RunSpec, StorageOptions
from nbstep_runner.errors import UsageError

RUN_ID: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?")
"""A label of the domain name system, short enough that a cluster can add to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What makes a sweep of a notebook.

    Attributes:
        sets: What each run is given besides what all are given, in their order; checked values.
        jobs: How many processes make the runs; as the place has it if ``None``.
        per_worker: How many runs each of them makes at once; as the place has it if ``None``.
        preload: Have ready what the notebook imports.
    """

    sets: tuple[Mapping[str, Any], ...]
    jobs: int | None
    per_worker: int | None
    preload: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What a run or a sweep is made of, for a backend that sends it itself.

    Attributes:
        name: The notebook's, as that of a file.
        parameters: Their checked values; secrets as references. Of a sweep, what all runs are given.
        swept: Of a sweep.
    """

    name: str
    notebook: bytes
    parameters: Mapping[str, Any]
    swept: Swept | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A run that is to be run again by its own place.

    Attributes:
        parameters: Over those of the earlier run.
        options: Fields of the profile, over those of the earlier run or of ``profile``.
        run_id: Of the new run.
        profile: With which it is run now; as it was if ``None``.
    """

    parameters: Mapping[str, Any]
    options: Mapping[str, Any]
    run_id: str
    profile: Profile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One run to be started.

    Attributes:
        spec: What runs. Every URI in it can be reached from where it will run.
        spec_uri: Where the spec lies as JSON; ``nbstep-runner --spec`` takes it.
        profile: Where it runs and with what: image, resources, environment.
        claims: The persistent volume claims that it reads or writes.
        workers: Of a sweep, whose ``SweepSpec`` lies at ``spec_uri``: how many processes make its runs. ``spec`` then
            holds what all of them have in common. ``None`` for a run.
        brought: What the run is made of.
    """

    spec: RunSpec
    spec_uri: str
    profile: Profile
    claims: tuple[str, ...] = ()
    workers: int | None = None
    brought: Brought | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be sent, whole.

    Attributes:
        handle: The string that the run will be found by.
        body: The request: a manifest, a command line, or whatever else the backend sends.
        text: The same for people, as ``--dry-run`` prints it.
    """

    handle: str
    body: Any
    text: str


class Phase(StrEnum):
    """How the place sees a run."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    GONE = "gone"
    """The place does not know it (any more)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the place where a run takes place knows of it.

    Attributes:
        phase: ``ended`` only once no process of the run is left.
        exit_code: The runner's, where the place knows it.
        words: One sentence for people: what it waits for, or how it ended.
        problems: What holds it up or went wrong, a sentence each, in the order of their coming.
        reference: The reference of the error that the place itself knows of, such as ``out-of-memory``.
        cancelled: Somebody asked for its end.
        since: When the place began to start it again whatever its end, as ISO 8601; empty where it does not.
    """

    phase: Phase
    exit_code: int | None = None
    words: str = ""
    problems: tuple[str, ...] = ()
    reference: str = ""
    cancelled: bool = False
    since: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A run found again.

    Attributes:
        storage: How the launcher reaches the stores of the run's objects.
    """

    run_id: str
    spec_uri: str
    output_uri: str
    storage: StorageOptions = field(default_factory=StorageOptions)


class Backend(Protocol):
    """A place where runs take place."""

    scheme: ClassVar[str]
    """Of its handles, such as ``k8s``."""

    def plan(self, submission: Submission) -> Plan:
        """What ``submit`` would send.

        Raises:
            UsageError: The profile lacks what the backend needs, such as an image.
        """

    def submit(self, plan: Plan) -> None:
        """Start the run of a plan, or find it started already."""

    def locate(self, handle: str) -> Located:
        """Find a run again.

        Raises:
            RunNotFoundError: The place does not know it.
        """

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        """How each run stands; many cost hardly more than one."""

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes | None]:
        """The lines of the run's log, without their newlines; to its end if ``follow``. ``None``: nothing new yet."""

    def cancel(self, handle: str) -> None:
        """Ask the run to save and end. Returns at once; one that has ended stays as it is."""


class Attached(Protocol):
    """The runner's command line in some place, for as long as the context lasts that gives it."""

    def lines(self) -> Iterator[bytes]:
        """Start it; the lines of its log, to its end."""

    def send(self, number: int) -> None:
        """Hand on a signal of this process."""

    def status(self) -> Status:
        """How it stands."""


def forget(backend: Backend, handle: str) -> None:
    """Let a backend that remembers runs which have ended remember this one no more."""
    forgets = getattr(backend, "forget", None)
    if forgets is not None:
        forgets(handle)


def checked_run_id(run_id: str) -> str:
    """The same name, once it is known to be one that every backend takes.

    Raises:
        UsageError: It is not.
    """
    if not RUN_ID.fullmatch(run_id):
        raise UsageError(
            f"the run id {run_id!r} is refused",
            hint="Use at most 53 small letters, digits and hyphens, the first and last no hyphen.",
        )
    return run_id
