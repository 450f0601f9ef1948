"""The endpoints of a folder of runs, and how each stands: by its place where that is known, else by its records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from nbstep.backends.protocol import Submission
from nbstep.backends.reach import reach_of
from nbstep.backends.registry import backend_named
from nbstep.endpoints.endpoint import FILE, Endpoint, Placed
from nbstep.endpoints.host import host_named
from nbstep.endpoints.plan import Deployment
from nbstep.profiles.exposure import Exposure
from nbstep.runs.history import read_run
from nbstep.server.folders import RunFolder
from nbstep.submission.places import RunPlaces
from nbstep_runner.contract import RECORD, RunResult, RunSpec, RunState, ServingOptions, decode
from nbstep_runner.errors import BadInputError, InputNotFoundError, NbstepError, UsageError
from nbstep_runner.stores import join

AT_ONCE: Final = 8
_NAME: Final = re.compile(r"[a-z0-9-]{1,63}")
_REVISION: Final = re.compile(r"[0-9a-f]{10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStanding:
    """How an endpoint stands.

    Attributes:
        state: ``running`` once it answers; ``None`` where it cannot be found out now.
        words: One sentence for people.
        url: Where it is reached, by HTTP; empty while that is not known.
    """

    name: str
    state: RunState | None
    words: str
    url: str = ""


def endpoints_of(folder: RunFolder, most: int) -> list[EndpointStanding]:
    """The endpoints below a folder, by their names.

    Raises:
        Problem: It is listed for the first time, and that takes long.
        NbstepError: It cannot be listed.
    """
    groups = folder.index.told(lambda _: folder.index.file.groups(endpoints=True))
    names = sorted(each.path for each in groups if _NAME.fullmatch(each.path))
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="nbstep-endpoints") as pool:
        return list(pool.map(lambda name: _standing(folder, name), names[:most]))


def _standing(folder: RunFolder, name: str) -> EndpointStanding:
    try:
        placed = _placed(folder, name)
        if placed is not None and placed.name == name and _is_expected(folder, placed):
            status = Endpoint(placed, join(folder.folder.uri, name), folder.folder.storage).status()
            return EndpointStanding(
                name=name, state=status.state, words="; ".join([status.words, *status.problems]), url=_web(status.url)
            )
        return _by_record(folder, name)
    except NbstepError as error:
        return EndpointStanding(name=name, state=None, words=error.message)
    except (ValueError, TypeError, OverflowError):  # whoever may write in the folder can have written anything
        return EndpointStanding(name=name, state=None, words="its record is damaged")


def _placed(folder: RunFolder, name: str) -> Placed | None:
    with suppress(InputNotFoundError, BadInputError):
        return decode(folder.store.read(join(folder.folder.uri, f"{name}/{FILE}")).data, Placed)
    return None


def _is_expected(folder: RunFolder, placed: Placed) -> bool:
    """Whether an endpoint is where this folder's profiles would serve it.

    Whoever may write in the folder could otherwise have the server ask elsewhere.
    """
    return bool(_REVISION.fullmatch(placed.revision)) and placed.handle in _handles(folder, placed)


def _handles(folder: RunFolder, placed: Placed) -> Iterator[str]:
    for profile in folder.profiles.values():
        if profile.on != placed.on:
            continue
        with suppress(UsageError):  # such as a backend that serves nothing
            there = RunPlaces.of(reach_of(backend_named(profile.on), profile).translate(folder.folder.uri), placed.name)
            spec = RunSpec(
                run_id=placed.name,
                input_uri=there.input,
                output_uri=there.output,
                serving=ServingOptions(name=placed.name),
            )
            spec_uri = join(there.folder, f"revision-{placed.revision}/serving.json")
            deployment = Deployment(
                name=placed.name,
                revision=placed.revision,
                folder=join(folder.folder.uri, placed.name),
                submission=Submission(spec=spec, spec_uri=spec_uri, profile=profile),
                exposure=Exposure(),
                uploads=(),
            )
            yield host_named(profile.on).plan(deployment).handle


def _by_record(folder: RunFolder, name: str) -> EndpointStanding:
    """How it stands by the record of its newest start alone."""
    stats = [stat for stat in folder.store.list(join(folder.folder.uri, f"{name}/")) if stat.uri.endswith(f"/{RECORD}")]
    newest = max(stats, key=lambda stat: stat.modified or 0.0, default=None)
    record: RunResult | None = None if newest is None else read_run(folder.store, newest.uri)
    if record is None:
        return EndpointStanding(name=name, state=RunState.PENDING, words="it has not begun")
    if record.state is RunState.RUNNING and record.serving is None:
        return EndpointStanding(name=name, state=RunState.PENDING, words="it is starting, by its record")
    words = record.error.message if record.error else "by its record: its place is none of this folder's profiles"
    return EndpointStanding(name=name, state=record.state, words=words)


def _web(url: str) -> str:
    """An address that a browser may be led to: a record can name any."""
    return url if url.startswith(("http://", "https://")) else ""
