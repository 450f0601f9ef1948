"""Runs through a team's service, which starts them with its own profiles: this machine needs no more than a token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, Final
from urllib.parse import quote

from nbstep.backends.protocol import Again, Located, Phase, Plan, Status, Submission, checked_run_id
from nbstep.backends.reach import Packages, Reach
from nbstep.backends.server.answers import decoded, no_service
from nbstep.backends.server.events import Follower, lines_so_far
from nbstep.backends.server.interface import Accepted, Detail, StandingOfSweep, SweepDetail
from nbstep.backends.server.places import HANDLE, Place, Places
from nbstep.backends.server.request import again, service_of, upload
from nbstep.backends.server.store import ServiceStore, detail
from nbstep.errors import RunNotFoundError
from nbstep.profiles import Profile
from nbstep.profiles.service import SCHEME
from nbstep_runner.contract import OUTPUT, PLAN, SPEC, RunState, StorageOptions
from nbstep_runner.errors import UsageError
from nbstep_runner.stores import Store, join

AT_ONCE: Final = 8
"""Runs that are asked about at once."""
_PHASES: Final = {RunState.PENDING: Phase.PENDING, RunState.RUNNING: Phase.RUNNING}


class ServerBackend:
    """Asks a service over HTTP. A run's handle is ``server://HOST/PREFIX/FOLDER/ID``, a sweep's has more segments."""

    scheme: ClassVar[str] = SCHEME.removesuffix("://")

    def __init__(self) -> None:
        self._places = Places()
        self._store = ServiceStore(self._places)
        self._sweeps: dict[str, SweepDetail] = {}

    def know(self, profile: Profile) -> None:
        """Reach the profile's service as the profile says."""
        self._places.tell(profile)

    def store(self) -> Store:
        """The objects of its runs."""
        return self._store

    def default_runs(self, profile: Profile) -> str:
        """The service's own folder.

        Raises:
            UsageError: The profile names no service.
        """
        return service_of(profile).runs

    def reach(self, profile: Profile) -> Reach:
        """Nothing of this machine: what a run is made of goes with the request that starts it.

        Raises:
            UsageError: The profile names no service.
        """
        service_of(profile)
        self.know(profile)
        return Reach(
            translate=lambda value: value,
            storage=StorageOptions(),
            local_files=False,
            packages=Packages.UNKNOWN,
            uploads=False,
        )

    def sweep_workers(self, jobs: int | None) -> tuple[int, int | None]:
        """What the name of a sweep is made of; how many there are is for the service to say."""
        return jobs or 1, 1

    def plan(self, submission: Submission) -> Plan:
        """The request that starts the run or the sweep."""
        sent = upload(submission)
        return Plan(handle=submission.spec.output_uri.rpartition("/")[0], body=sent, text=sent.text)

    def submit(self, plan: Plan) -> None:
        """Ask for it. Its id is in the request: however often that arrives, it is one run."""
        place = self._places.of(plan.handle)
        answer = place.service.post(plan.body.path, place.top, **plan.body.form)
        self._accepted(place, answer, place.below if place.group else place.run_id)

    def check(self, plan: Plan) -> str:
        """Say that the service lets the token's owner look into the folder.

        Raises:
            NbstepError: It does not answer, or refuses.
        """
        place = self._run(plan.handle)
        place.service.get("/v1/runs", {**place.query, "limit": "1"})
        return f"the service at {place.service.url} answers, and shows the runs of {place.options.folder}"

    def rerun(self, handle: str, asked: Again) -> str:
        """Have the service run a run again, with its own notebook and files; the new run's handle.

        Raises:
            UsageError: It would be at another place, or with what no service takes.
        """
        place = self._run(handle)
        if (profile := asked.profile) is not None:
            if profile.on != self.scheme or (profile.runs or self.default_runs(profile)) != place.options.runs:
                raise UsageError(
                    f"a service runs a run again where it was, in {place.options.runs}",
                    hint="Submit its notebook to the other place as a new run.",
                )
            self.know(profile)
            place = self._run(handle)
        content = {"content": again(place.options, asked), "headers": {"Content-Type": "application/json"}}
        self._accepted(place, place.service.post(f"{place.path}/rerun", place.query, **content), asked.run_id)
        return join(place.options.runs, asked.run_id)

    def locate(self, handle: str) -> Located:
        """Find a run or a sweep by asking for it."""
        place = self._places.of(handle)
        if place.group and not place.name:
            self.sweep_told(handle)
            return _located(handle, place, PLAN)
        detail(self._run(handle))
        return _located(handle, place, SPEC)

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        """How each stands, as the service tells it; some are asked about at a time."""
        with ThreadPoolExecutor(min(AT_ONCE, len(handles) or 1), thread_name_prefix="nbstep-service") as pool:
            return dict(zip(handles, pool.map(self._status, handles), strict=True))

    def logs(self, handle: str, *, follow: bool) -> Iterator[bytes | None]:
        """The lines that the service tells, which has made the log whole."""
        place = self._run(handle)
        path = f"{place.path}/events"
        if not follow:
            return lines_so_far(place.service, path, place.query)
        return Follower(place.service, path, place.query).lines()

    def cancel(self, handle: str) -> None:
        """Have the service ask for the end."""
        place = self._places.of(handle)
        path = f"/v1/sweeps/{quote(place.below)}" if place.group else self._run(handle).path
        place.service.post(f"{path}/cancel", place.top)

    def sweep_told(self, handle: str) -> SweepDetail:
        """What the service tells of a sweep, now or when it was last asked how that stands.

        Raises:
            RunNotFoundError: There is none that was started.
        """
        known = self._sweeps.pop(handle, None)
        if known is not None:
            return known
        place = self._places.of(handle)
        answer = place.service.get(f"/v1/sweeps/{quote(place.below)}", place.top)
        told = decoded(answer, SweepDetail, place.service.url)
        if told.standing is None:
            raise RunNotFoundError(f"{place.below} is no sweep that was started in {place.options.folder}")
        return told

    def _run(self, handle: str) -> Place:
        place = self._places.of(handle)
        if not place.run_id or place.name or place.group:
            raise UsageError(f"{handle} is no run of a service", hint=f"A run is written {HANDLE}.")
        checked_run_id(place.run_id)
        return place

    def _status(self, handle: str) -> Status:
        try:
            if self._places.of(handle).group:
                self._sweeps.pop(handle, None)
                told = self.sweep_told(handle)
                self._sweeps[handle] = told
                return _status_of_sweep(told.standing)
            return _status_of(detail(self._run(handle)))
        except RunNotFoundError as error:
            return Status(phase=Phase.GONE, words=error.message)

    def _accepted(self, place: Place, answer: bytes, run_id: str) -> None:
        """Check that what was started is what was asked for."""
        accepted = decoded(answer, Accepted, place.service.url)
        if (accepted.id, accepted.folder) != (run_id, place.options.folder):
            raise no_service(place.service.url)


def _located(handle: str, place: Place, spec: str) -> Located:
    return Located(run_id=place.run_id, spec_uri=join(handle, spec), output_uri=join(handle, OUTPUT))


def _status_of_sweep(told: StandingOfSweep | None) -> Status:
    if told is None:
        return Status(phase=Phase.GONE)
    phase = _PHASES.get(told.state, Phase.ENDED)
    return Status(phase=phase, words=told.words, problems=told.problems, cancelled=told.cancelled)


def _status_of(told: Detail) -> Status:
    return Status(
        phase=_PHASES.get(told.state, Phase.ENDED),
        exit_code=told.exit_code,
        words=told.words,
        problems=told.problems,
        reference=told.error.reference if told.error is not None else "",
        cancelled=told.state is RunState.CANCELLED,
    )
