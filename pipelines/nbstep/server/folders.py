"""The run folders of a server: one run looked up by its exact id, and what its folder says about it checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import msgspec

from nbstep.backends.protocol import Backend, Phase, Status, checked_run_id
from nbstep.backends.recorded import RecordedBackend
from nbstep.profiles import Profile
from nbstep.profiles.storage import store_of
from nbstep.runs.run import Run
from nbstep.runs.verdict import can_be_retried
from nbstep.server.config import Config, Folder
from nbstep.server.expected import place_of
from nbstep.server.index import RunIndex
from nbstep.server.links import confined, lies_in, links_out
from nbstep.server.problems import Problem, not_found
from nbstep.submission.find import Submitted, located_at
from nbstep.submission.places import RunPlaces, SweepPlaces
from nbstep.sweeps.elsewhere import starts_sweeps
from nbstep.sweeps.submitted import SubmittedSweep
from nbstep_runner.contract import LOG_ENDING, RECORD_ENDING, RunResult, StorageOptions, decode
from nbstep_runner.errors import BadInputError, InputNotFoundError, UsageError
from nbstep_runner.stores import Store, join, sibling

WAITING: Final = Status(phase=Phase.PENDING, words="submitted by somebody else: nothing but its folder is known here")
DEEPEST: Final = 16
"""How many folders the path of a group has: each is looked at on the way."""
_SET: Final = re.compile(r"[A-Za-z0-9._+=,-]{1,128}")


class RecordsAlone(RecordedBackend):
    """Runs that this server has no place for, such as those of another namespace: their folder is all that is known.

    One without a record is waiting; nobody here may say that it is lost.
    """

    def __init__(self, storage: StorageOptions) -> None:
        self._storage = storage

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        """What their records' being there tells."""
        known = super().statuses(handles)
        return {handle: status if self._has_record(handle) else WAITING for handle, status in known.items()}

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes]:  # noqa: ARG002 - the protocol's
        """The lines of the stored log, where there is one."""
        uri = sibling(handle, LOG_ENDING)
        with suppress(InputNotFoundError):
            yield from store_of(uri, self._storage).read(uri).data.splitlines()

    def _has_record(self, handle: str) -> bool:
        uri = sibling(handle, RECORD_ENDING)
        return store_of(uri, self._storage).stat(uri) is not None


@dataclass(frozen=True)
class RunFolder:
    """A configured folder of runs.

    Attributes:
        profiles: Those that runs may be submitted with here.
        index: Of its runs.
        is_group: It is a group of runs below a configured folder; its runs are named by their sets.
    """

    name: str
    folder: Folder
    profiles: Mapping[str, Profile]
    index: RunIndex
    is_group: bool = False

    @property
    def top(self) -> str:
        """The name of the configured folder."""
        return self.name.partition("/")[0]

    @property
    def sweepers(self) -> list[str]:
        """The names of the profiles with which sweeps are started here."""
        return [name for name, profile in self.profiles.items() if starts_sweeps(profile.on)]

    def within(self, path: str) -> RunFolder:
        """The group of runs at a path below it. No runs are submitted there.

        Raises:
            Problem: It is no path of a group.
        """
        if not is_group_path(path) or not lies_in(join(self.folder.uri, path), self.folder.uri):
            raise not_found(f"folder {path[:80]!r} in {self.name}")
        folder = msgspec.structs.replace(self.folder, uri=join(self.folder.uri, path), profiles=())
        return replace(self, name=f"{self.name}/{path}", folder=folder, profiles={}, is_group=True)

    @property
    def store(self) -> Store:
        """Where its objects lie."""
        return confined(store_of(self.prefix, self.folder.storage), self.folder.uri)

    @property
    def prefix(self) -> str:
        """What the URIs of its objects begin with."""
        return join(self.folder.uri, "")

    def places(self, run_id: str) -> RunPlaces:
        """Where the objects of one run lie.

        Raises:
            Problem: It is not the name of a run.
        """
        with suppress(UsageError):
            name = run_id if self.is_group and is_set_name(run_id) else checked_run_id(run_id)
            places = RunPlaces.of(self.folder.uri, name)
            if lies_in(places.folder, self.folder.uri):
                return places
        raise not_found(f"run {run_id[:80]!r} in {self.name}")

    def run(self, run_id: str) -> Run:
        """The run of exactly that id.

        Its place is asked about it only if that is one of this folder's profiles, and says itself that the run is this
        one: whoever may write in a folder could otherwise have the server act elsewhere.

        Raises:
            Problem: There is none.
        """
        places = self.places(run_id)
        located = located_at(places, run_id, self.folder.storage)
        sent = self._submitted(places.submission)
        handle = None if sent is None or sent.sweep else sent.handle
        record = self._record(places)
        if (handle is None and record is None) or links_out(places.folder, self.folder.uri):
            raise not_found(f"run {run_id!r} in {self.name}")
        if handle is not None and (record is None or not _says_all(record)):
            found = place_of(self.profiles.values(), self.folder.uri, run_id, handle)
            if found is not None:
                return Run(found.handle, located, found.backend)
        return Run(places.output, located, self._records_alone)

    def sweep(self, path: str) -> SubmittedSweep | None:
        """The sweep that was started there, if one of this folder's profiles did; its place is asked as a run's is.

        Raises:
            Problem: Its plan is damaged.
            NbstepError: It cannot be read.
        """
        group, _, name = path.rpartition("/")
        if not group or not is_group_path(path) or not lies_in(join(self.folder.uri, path), self.folder.uri):
            return None
        runs = join(self.folder.uri, group)
        places = SweepPlaces.of(runs, name)
        if links_out(places.folder, self.folder.uri):
            return None
        sent = self._submitted(places.submission)
        if sent is None or not sent.sweep:
            return None
        found = place_of(self.profiles.values(), runs, name, sent.handle, sweep=True)
        if found is None:
            return None
        located = replace(located_at(RunPlaces(places.folder), name, self.folder.storage), spec_uri=places.plan)
        return self._checked_sweep(SubmittedSweep(Run(found.handle, located, found.backend)), places)

    def _checked_sweep(self, sweep: SubmittedSweep, places: SweepPlaces) -> SubmittedSweep:
        """The same, once its plan names runs of its own group: whoever may write there can have written any.

        Raises:
            Problem: It does not.
        """
        names = [name for spec in sweep.plan.specs for name in spec.output_uri.split("/")[-2:-1]]
        inside = all(is_set_name(name) and lies_in(places.record(name), places.runs) for name in names)
        if not inside or not len(names) == len(sweep.plan.specs) == len(sweep.plan.sets):
            detail = f"the plan of the sweep {places.name} is damaged"
            raise Problem(status=409, reference="bad-input", detail=detail, hint="Start it again under another name.")
        return sweep

    @cached_property
    def _records_alone(self) -> Backend:
        return RecordsAlone(self.folder.storage)

    def _submitted(self, uri: str) -> Submitted | None:
        with suppress(InputNotFoundError, BadInputError):
            return decode(self.store.read(uri).data, Submitted)
        return None

    def _record(self, places: RunPlaces) -> RunResult | None:
        with suppress(InputNotFoundError, BadInputError):
            return decode(self.store.read(places.record).data, RunResult)
        return None


def is_set_name(name: str) -> bool:
    """Whether a folder can have that name in which a sweep makes a run, or that is a group."""
    return bool(_SET.fullmatch(name)) and name.strip(".") != ""


def is_group_path(path: str) -> bool:
    """Whether a group can lie there, below a folder of runs."""
    folders = path.split("/")
    return len(folders) <= DEEPEST and all(map(is_set_name, folders))


def _says_all(record: RunResult) -> bool:
    """Whether a run's place can add nothing to what is stored of it, such as the log of an attempt that was killed."""
    alone = record.attempt == 1 and not can_be_retried(record)
    return alone and record.state.final and record.log_uri is not None


class RunFolders:
    """All folders of a configuration, by name."""

    def __init__(self, config: Config) -> None:
        self._folders = {
            name: RunFolder(name, folder, config.profiles_of(folder), RunIndex.of(folder, config.cache))
            for name, folder in config.folders.items()
        }

    def __iter__(self) -> Iterator[RunFolder]:
        return iter(self._folders.values())

    def named(self, name: str | None) -> RunFolder:
        """The folder of that name; the first if a request names none.

        Raises:
            Problem: There is none.
        """
        if name is None:
            return next(iter(self))
        if name not in self._folders:
            raise not_found(f"folder {name[:80]!r}")
        return self._folders[name]
