"""An endpoint, from any process that knows its name: asked, looked at, waited for, removed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TextIO

import msgspec

from nbstep.backends.protocol import Phase, Status
from nbstep.backends.stores import folder_of_runs, store_of
from nbstep.endpoints.host import Host, begun_before, host_named
from nbstep.endpoints.plan import REVISION_LABEL
from nbstep.errors import KINDS, EndpointUnavailableError, LostRunError, RunNotFoundError, WaitTimeoutError, error_of
from nbstep.profiles import Profile
from nbstep.runs.removal import remove_run
from nbstep.submission.places import RunPlaces
from nbstep.views import log_lines
from nbstep_runner.contract import RECORD, ErrorInfo, RunResult, RunState, StorageOptions, decode, encode
from nbstep_runner.errors import BadInputError, InputNotFoundError, Retry
from nbstep_runner.stores import Store, join

FILE: Final = "endpoint.json"
FIRST_LOOK_SECONDS: Final = 0.05
LOOK_SECONDS: Final = 1.0


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """``endpoint.json``: where an endpoint runs, and which revision of it is the newest."""

    name: str
    on: str
    handle: str
    revision: str
    schema_version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatus:
    """How an endpoint stands.

    Attributes:
        state: ``running`` once its newest revision answers, ``pending`` before, ``failed`` when it never will.
        words: One sentence for people.
        problems: What holds it up or went wrong, a sentence each.
        url: Where it is reached; empty while that is not known.
        record: Of the newest start of its newest revision.
    """

    state: RunState
    words: str = ""
    problems: tuple[str, ...] = ()
    url: str = ""
    record: RunResult | None = None


class Endpoint:
    """A served notebook. :func:`nbstep.find` finds it again by its name."""

    def __init__(self, placed: Placed, folder: str, storage: StorageOptions) -> None:
        self._placed = placed
        self._folder = folder
        self._storage = storage
        self._host: Host = host_named(placed.on)

    def __str__(self) -> str:
        return self._placed.name

    def __repr__(self) -> str:
        return f"<nbstep.Endpoint {self._placed.handle}>"

    @property
    def name(self) -> str:
        """Its name, which is the model's in the Open Inference Protocol too."""
        return self._placed.name

    @property
    def handle(self) -> str:
        """What its place calls it."""
        return self._placed.handle

    @property
    def url(self) -> str:
        """Where it is reached.

        Where a new revision fails on a cluster, the one before goes on answering there.

        Raises:
            EndpointUnavailableError: It is not known yet, or not any more.
        """
        status = self.status()
        if not status.url:
            raise EndpointUnavailableError(f"the endpoint {self.name} is {status.state}: {status.words}")
        return status.url

    def status(self) -> EndpointStatus:
        """How it stands now."""
        seen = self._host.status(self.handle, self._placed.revision)
        records = self._records()
        record = next(records, None)
        url = self._host.url(self.handle, record)
        if seen.phase in (Phase.ENDED, Phase.GONE):
            return _ended(seen, record, url)
        serves = record is not None and record.serving is not None and not record.state.final
        ready = seen.phase is Phase.RUNNING and bool(url) and serves
        if not ready and (last := _final_end(seen, record, records)) is not None:
            return _ended(seen, last, url)
        words = f"serving at {url}" if ready else seen.words
        state = RunState.RUNNING if ready else RunState.PENDING
        return EndpointStatus(state=state, words=words, problems=seen.problems, url=url, record=record)

    def wait(self, timeout: float | None = None, *, watch: Callable[[EndpointStatus], None] = lambda _: None) -> None:
        """Wait until it answers.

        Args:
            timeout: Seconds to wait; ``None`` is without bound.
            watch: Told of every look.

        Raises:
            WaitTimeoutError: It does not by then. It is left as it is.
            NbstepError: It never will: the notebook's own error, or why its place cannot run it.
        """
        started = time.monotonic()
        while True:
            status = self.status()
            watch(status)
            if status.state is RunState.RUNNING and self._answers(status.url):
                return
            if status.state.final:
                raise _error(status)
            waited = time.monotonic() - started
            if timeout is not None and waited > timeout:
                problems = "; ".join([status.words, *(each for each in status.problems if each not in status.words)])
                raise WaitTimeoutError(
                    f"the endpoint {self.name} does not answer after {timeout:g} s: {problems}",
                    hint="It goes on starting: look with `nbstep status`, wait again, or delete it.",
                )
            # A tenth of what was waited: nobody waits much longer than the start takes, and a slow one is seldom asked.
            time.sleep(min(max(waited / 10, FIRST_LOOK_SECONDS), LOOK_SECONDS))

    def _answers(self, url: str) -> bool:
        """Whether it says that it is ready; one whose kernel has just died still stands as running."""
        try:
            self._host.ask(self.handle, url, "v2/health/ready", None)
        except EndpointUnavailableError:
            return False
        return True

    def predict(self, **inputs: Any) -> Any:
        """What the served function returns for these inputs.

        Raises:
            BadInputError: It does not take them; the message says why.
            CellFailedError: It raised.
            EndpointUnavailableError: Nothing answers, or it has too much to do.
        """
        body = msgspec.json.encode(inputs, enc_hook=_plain)
        return msgspec.json.decode(self._host.ask(self.handle, self.url, "predict", body))

    def lines(self, *, follow: bool = False) -> Iterator[log_lines.LogLine]:
        """The lines of its newest start's log; for as long as it runs if ``follow``."""
        heard = self._host.logs(self.handle, follow=follow)
        return (log_lines.parse(line) for line in heard if line is not None)

    def logs(self, *, follow: bool = False, file: TextIO | None = None) -> None:
        """Print the log of its newest start for people."""
        log_lines.print_lines(self.lines(follow=follow), file)

    def delete(self) -> None:
        """End it, requests under way answered, and remove everything about it: where it runs, and in its folder."""
        self._host.remove(self.handle)
        remove_run(self._store, self._folder, [join(self._folder, FILE)])

    @property
    def _store(self) -> Store:
        return store_of(self._folder, self._storage)

    def _records(self) -> Iterator[RunResult]:
        """The records of this revision's starts, the newest first."""
        stats = [stat for stat in self._store.list(join(self._folder, "")) if stat.uri.endswith(f"/{RECORD}")]
        for stat in sorted(stats, key=lambda stat: stat.modified or 0.0, reverse=True):
            try:
                record = decode(self._store.read(stat.uri).data, RunResult)
            except BadInputError:  # damaged: it says nothing, and hides no other
                continue
            if record.labels.get(REVISION_LABEL) == self._placed.revision:
                yield record


def find_endpoint(name: str, profile: Profile) -> Endpoint:
    """The endpoint of that name, below the profile's folder of all runs.

    Raises:
        RunNotFoundError: There is none.
    """
    runs = folder_of_runs(profile)
    if not re.fullmatch(r"[a-z0-9-]+", name):
        raise RunNotFoundError(f"no endpoint can have the name {name!r}")
    return endpoint_in(RunPlaces.of(runs, name).folder, profile.storage)


def endpoint_in(folder: str, storage: StorageOptions) -> Endpoint:
    """The endpoint whose objects lie in a folder.

    Raises:
        RunNotFoundError: There is none.
    """
    try:
        data = store_of(folder, storage).read(join(folder, FILE)).data
    except InputNotFoundError:
        raise RunNotFoundError(f"there is no endpoint in {folder}") from None
    return Endpoint(decode(data, Placed), folder, storage)


def place(endpoint: Placed, folder: str, storage: StorageOptions) -> Endpoint:
    """Write down where an endpoint runs."""
    uri = join(folder, FILE)
    store_of(uri, storage).write(uri, encode(endpoint, indent=1))
    return Endpoint(endpoint, folder, storage)


def list_endpoints(profile: Profile) -> Iterator[Endpoint]:
    """The endpoints below the profile's folder of all runs, by their names."""
    prefix = join(folder_of_runs(profile), "")
    for stat in sorted(store_of(prefix, profile.storage).list(prefix), key=lambda stat: stat.uri):
        folder, _, name = stat.uri.rpartition("/")
        if name == FILE:
            yield endpoint_in(folder, profile.storage)


def _final_end(seen: Status, newest: RunResult | None, before: Iterator[RunResult]) -> RunResult | None:
    """The record of the last start that ended, where the place starts it again though it can only end so again."""
    if not seen.since or newest is None:
        return None
    last = next((each for each in (newest, *islice(before, 1)) if each.state.final), None)
    if last is None or last.error is None or begun_before(last, seen.since):
        return None
    kind = KINDS.get(last.error.reference)
    return last if kind is not None and kind.retry is Retry.NEVER else None


def _ended(seen: Status, record: RunResult | None, url: str) -> EndpointStatus:
    """The state of one that runs no more: as its record says, else as its place does."""
    if record is not None and record.state.final:
        words = record.error.message if record.error else str(record.state)
        return EndpointStatus(state=record.state, words=words, problems=seen.problems, url=url, record=record)
    state = RunState.FAILED if seen.reference in KINDS else RunState.LOST
    return EndpointStatus(state=state, words=seen.words, problems=seen.problems, url=url, record=record)


def _error(status: EndpointStatus) -> Exception:
    if status.record is not None and status.record.error is not None:
        return error_of(status.record.error)
    kind = LostRunError.reference
    return error_of(ErrorInfo(reference=kind, message="; ".join([status.words, *status.problems])))


def _plain(value: Any) -> Any:
    """What JSON says of NumPy's values, without NumPy."""
    if callable(convert := getattr(value, "tolist", None)):
        return convert()
    if callable(convert := getattr(value, "to_dict", None)):
        return convert("records")
    raise TypeError(f"JSON cannot say a {type(value).__name__}")
