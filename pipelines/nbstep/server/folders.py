"""The run folders of a server: one run looked up by its exact id, and what its folder says about it checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import msgspec

from nbstep.backends.protocol import Backend, Located, Phase, Status, Submission, checked_run_id
from nbstep.backends.reach import reach_of
from nbstep.backends.recorded import RecordedBackend
from nbstep.backends.registry import backend_named
from nbstep.errors import RunNotFoundError
from nbstep.profiles import Profile
from nbstep.profiles.storage import store_of
from nbstep.runs.run import Run
from nbstep.runs.verdict import can_be_retried
from nbstep.server.config import Config, Folder
from nbstep.server.index import RunIndex
from nbstep.server.problems import not_found
from nbstep.submission.find import Submitted, located_at
from nbstep.submission.places import RunPlaces
from nbstep_runner.contract import LOG_ENDING, RECORD_ENDING, RunResult, RunSpec, StorageOptions, decode
from nbstep_runner.errors import BadInputError, InputNotFoundError, UsageError
from nbstep_runner.stores import Store, join, sibling

WAITING: Final = Status(phase=Phase.PENDING, words="submitted by somebody else: nothing but its folder is known here")

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

    def within(self, path: str) -> RunFolder:
        """The group of runs at a path below it. No runs are submitted there.

        Raises:
            Problem: It is no path of a group.
        """
        if not is_group_path(path):
            raise not_found(f"folder {path[:80]!r} in {self.name}")
        folder = msgspec.structs.replace(self.folder, uri=join(self.folder.uri, path), profiles=())
        return replace(self, name=f"{self.name}/{path}", folder=folder, profiles={}, is_group=True)

    @property
    def store(self) -> Store:
        """Where its objects lie."""
        return store_of(self.prefix, self.folder.storage)

    @property
    def prefix(self) -> str:
        """What the URIs of its objects begin with."""
        return join(self.folder.uri, "")

    def places(self, run_id: str) -> RunPlaces:
        """Where the objects of one run lie.

        Raises:
            Problem: It is not the name of a run.
        """
        if self.is_group and is_set_name(run_id):
            return RunPlaces.of(self.folder.uri, run_id)
        try:
            return RunPlaces.of(self.folder.uri, checked_run_id(run_id))
        except UsageError:
            raise not_found(f"run {run_id[:80]!r} in {self.name}") from None

    def run(self, run_id: str) -> Run:
        """The run of exactly that id.

        Its place is asked about it only if that is one of this folder's profiles, and says itself that the run is this
        one: whoever may write in a folder could otherwise have the server act elsewhere.

        Raises:
            Problem: There is none.
        """
        places = self.places(run_id)
        located = located_at(places, run_id, self.folder.storage)
        handle = self._handle(places)
        record = self._record(places)
        if handle is None and record is None:
            raise not_found(f"run {run_id!r} in {self.name}")
        if handle is not None and (record is None or not _says_all(record)):
            for backend, expected, spec_uri in self._expected(run_id):
                if expected == _whole(backend, handle) and _is_of(backend, expected, spec_uri):
                    return Run(expected, located, backend)
        return Run(places.output, located, self._records_alone)

    @cached_property
    def _records_alone(self) -> Backend:
        return RecordsAlone(self.folder.storage)

    def _handle(self, places: RunPlaces) -> str | None:
        with suppress(InputNotFoundError, BadInputError):
            return decode(self.store.read(places.submission).data, Submitted).handle
        return None

    def _record(self, places: RunPlaces) -> RunResult | None:
        with suppress(InputNotFoundError):
            return decode(self.store.read(places.record).data, RunResult)
        return None

    def _expected(self, run_id: str) -> list[tuple[Backend, str, str]]:
        """The handle that the run has if it was submitted with a profile of this folder, and its spec's place then."""
        found = []
        for profile in self.profiles.values():
            with suppress(UsageError):  # such as a profile without an image, which submits nothing
                backend = backend_named(profile.on)
                there = RunPlaces.of(reach_of(backend, profile).translate(self.folder.uri), run_id)
                spec = RunSpec(run_id=run_id, input_uri=there.input, output_uri=there.output)
                submission = Submission(spec=spec, spec_uri=there.spec, profile=profile)
                found.append((backend, backend.plan(submission).handle, there.spec))
        return found


def is_set_name(name: str) -> bool:
    """Whether a folder can have that name in which a sweep makes a run, or that is a group."""
    return bool(_SET.fullmatch(name)) and name.strip(".") != ""


def is_group_path(path: str) -> bool:
    """Whether a group can lie there, below a folder of runs."""
    return all(map(is_set_name, path.split("/")))


def _says_all(record: RunResult) -> bool:
    """Whether a run's place can add nothing to what is stored of it, such as the log of an attempt that was killed."""
    alone = record.attempt == 1 and not can_be_retried(record)
    return alone and record.state.final and record.log_uri is not None


def _whole(backend: Backend, handle: str) -> str:
    """A handle as this version of the backend writes it: one that was stored by an older version can be shorter."""
    whole = getattr(backend, "full_handle", None)
    with suppress(RunNotFoundError, UsageError):
        if whole is not None and handle.startswith(f"{backend.scheme}://"):
            return str(whole(handle))
    return handle


def _is_of(backend: Backend, handle: str, spec_uri: str) -> bool:
    """Whether what the place knows by that handle is the run whose spec lies there; one that it has forgotten is."""
    try:
        located: Located = backend.locate(handle)
    except RunNotFoundError:
        return True
    return located.spec_uri == spec_uri


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
