"""Sweeps that the service starts, and what it tells of one that was started: each run with its verdict."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from nbstep.backends.protocol import Phase
from nbstep.backends.server.interface import SetOfSweep, StandingOfSweep, SweepDetail, summary_of
from nbstep.backends.server.places import STEM
from nbstep.server.asked import Asked, check_one_notebook, digest_of, given, named_by, sources_of
from nbstep.server.claims import RequestClaim
from nbstep.server.folders import DEEPEST, RunFolder, is_group_path
from nbstep.server.index_rows import short
from nbstep.server.links import lies_in
from nbstep.server.problems import conflict, not_found, over_limit, usage
from nbstep.server.starting import Starting
from nbstep.submission.places import RunPlaces, SweepPlaces
from nbstep.sweeps.elsewhere import PlacedSweep, place
from nbstep.sweeps.outcome import SweepRun
from nbstep.sweeps.plan import SweepRequest
from nbstep.sweeps.sets import axis, combine, row
from nbstep.sweeps.start import start_sweep
from nbstep.sweeps.submitted import SubmittedSweep
from nbstep_runner.contract import OWN_FOLDERS
from nbstep_runner.nonfinite import read
from nbstep_runner.stores import Stat, join

KEPT: Final = 4
"""Sweeps whose records are kept between two requests: those that were asked about last."""
KEPT_BYTES: Final = 2**26
"""How much of their records, as they are stored; of the sweep that was asked about last, all are kept."""
Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class AskedSweep(Asked, frozen=True, kw_only=True):
    """A sweep that is asked for.

    Attributes:
        name: The path below the folder of runs at which its runs get folders of their own, such as ``lr``.
        grid: Values by name; every combination is a set.
        matrix: Sets, each a mapping of values by name. With a grid too, each is combined with each of the grid's.
        parameters: What all runs are given; a set's own values win.
        run_id: Names the sweep below ``name``; made of all that it is if left out.
        jobs: How many processes make the runs: pods, on a cluster.
        per_worker: How many runs each of them makes at once.
        preload: Have ready what the notebook imports.
    """

    name: str
    grid: dict[str, list[Any]] = msgspec.field(default_factory=dict)
    matrix: list[dict[str, Any]] = msgspec.field(default_factory=list)
    html: bool = False
    jobs: Count | None = None
    per_worker: Count | None = None
    preload: bool = True


def _check_name(folder: RunFolder, name: str) -> None:
    """Whether the runs of a sweep can lie there.

    Raises:
        Problem: It is no path, or a run of the folder lies there.
    """
    below = join(name, "sweep")  # as deep as the sweep's own folder
    if not is_group_path(below) or any(each.endswith(OWN_FOLDERS) or each.startswith(STEM) for each in name.split("/")):
        hint = f"Use letters, digits and ._+=,- in up to 128 characters, and / between up to {DEEPEST - 1} folders."
        raise usage(f"{name[:80]!r} is none that a sweep can have", hint)
    for above in accumulate(name.split("/"), "{}/{}".format):
        if any(folder.store.stat(uri) is not None for uri in RunPlaces.of(folder.folder.uri, above).found_by):
            raise conflict(f"a run of {folder.name} is named {above}", hint="Give the sweep another name.")


def _check_places(folder: RunFolder, placed: PlacedSweep) -> None:
    """Whether what a sweep writes before it starts lies in the folder: nothing is written where a link leads.

    Raises:
        Problem: It does not.
    """
    written = (placed.places.plan, placed.places.submission, *(uri for uri, _ in placed.uploads))
    if not all(lies_in(uri, folder.folder.uri) for uri in written):
        raise not_found(f"folder {placed.places.name[:80]!r} in {folder.name}")


@dataclass
class _Kept:
    """A sweep with the records that were read of it, for one request at a time.

    Attributes:
        begun: Version and time of its plan, which each start writes.
    """

    sweep: SubmittedSweep
    begun: Stat | None
    lock: threading.Lock = field(default_factory=threading.Lock)


class StartedSweeps:
    """Starts sweeps for callers who may, and tells how one stands.

    Of a sweep that is asked about again and again only the records that have changed are read anew.

    Args:
        starting: Knows the profiles and the notebooks.
        most: Sets of one sweep.
    """

    def __init__(self, starting: Starting, most: int) -> None:
        self._starting = starting
        self._most = most
        self._kept: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, folder: RunFolder, caller: str, key: str | None, asked: AskedSweep, uploaded: Path | None) -> str:
        """Start the sweep that is asked for; its path.

        One that goes on is that sweep. One that has ended is started anew and makes what is missing, unless the request
        has an ``Idempotency-Key``, with which it is one however often it is sent.

        Raises:
            Problem: It may not be asked for so, or its name is another request's.
            NbstepError: What keeps it from starting.
        """
        check_one_notebook(asked, uploaded)
        profile = self._starting.profile(folder, caller, asked)
        _check_name(folder, asked.name)
        group, named = folder.within(asked.name), named_by(caller, folder, key, asked)
        placed = place(self._request(folder, asked, uploaded), profile, per_worker=asked.per_worker, name=named)
        _check_places(group, placed)
        path = f"{asked.name}/{placed.places.name}"
        if named is not None:
            marked = group if key is None else folder  # a key is one request's, whatever that starts
            claim = RequestClaim(marked, named, [caller, asked, digest_of(uploaded)], group)
            if claim.is_done() and key is not None:
                return path
            claim.take()
        start_sweep(placed, patience=0.0)  # one that ends keeps nobody else's submission waiting
        return path

    def _request(self, folder: RunFolder, asked: AskedSweep, uploaded: Path | None) -> SweepRequest:
        axes = [axis(name, read(values)) for name, values in asked.grid.items()]
        sets = combine(axes, [row(given(each)) for each in asked.matrix])
        if len(sets) > self._most:
            raise over_limit(f"{len(sets)} sets; this server starts sweeps of up to {self._most}")
        storage = folder.folder.storage
        return SweepRequest(
            notebook=str(uploaded or self._starting.notebooks.checked(asked.notebook, storage)),
            sets=sets,
            base=sources_of(asked),
            output=join(folder.folder.uri, asked.name),
            jobs=asked.jobs,
            preload=asked.preload,
            storage=storage,
            spec={"html": asked.html},
        )

    def told(self, folder: RunFolder, path: str, found: SubmittedSweep) -> SweepDetail:
        """How a sweep stands, with each of its runs; those that ended without a verdict get one. Blocks.

        Raises:
            Problem: It has more sets than this server starts.
        """
        if len(found.plan.specs) > self._most:
            raise over_limit(f"{len(found.plan.specs)} sets; this server tells of sweeps of up to {self._most}")
        begun = folder.store.stat(SweepPlaces(join(folder.folder.uri, path)).plan)
        kept = self._entry((folder.name, path, found.handle), _Kept(found, begun))
        with kept.lock:
            sweep = kept.sweep
            seen = sweep.backend.statuses([sweep.handle])[sweep.handle]
            if sweep.has_ended and seen.phase in (Phase.PENDING, Phase.RUNNING):  # it was looked at while it began anew
                sweep = kept.sweep = found
            status = sweep.status_seen(seen)
            group = f"{folder.name}/{path.rpartition('/')[0]}"
            rows = tuple(set_of(group, run, ended=ended) for run, ended in sweep.standing())
            metric = getattr(sweep.outcome().metric, "name", None)
        standing = StandingOfSweep(
            state=status.state, words=seen.words, problems=seen.problems, cancelled=seen.cancelled
        )
        return SweepDetail(folder=group, metric=metric, shared={}, sets=rows, left_out=0, standing=standing)

    def _entry(self, key: tuple[str, str, str], found: _Kept) -> _Kept:
        """The one that is kept, unless it was started anew since: its plan is then written anew."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or kept.begun != found.begun:
                kept = self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT or (len(self._kept) > 1 and self._size() > KEPT_BYTES):
                self._kept.popitem(last=False)
            return kept

    def _size(self) -> int:
        return sum(each.sweep.size for each in self._kept.values())


def set_of(folder: str, run: SweepRun, *, ended: bool = False) -> SetOfSweep:
    """A row of a sweep's table."""
    told = short(summary_of(folder, run.name, run.result)) if run.result else None
    parameters = run.parameters if told is None or told.whole else {}
    return SetOfSweep(name=run.name, state=run.state, parameters=parameters, run=told, ended=ended)
