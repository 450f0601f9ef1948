"""What a request to start or end a run means: once each, with the server's own profiles and under its own labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

import msgspec
from anyio import CapacityLimiter, to_thread

from nbstep.api import start
from nbstep.authoring.notebook import read_notebook
from nbstep.backends.protocol import checked_run_id
from nbstep.errors import RunNotFoundError
from nbstep.profiles import Profile, Reference, overlaid
from nbstep.profiles.schema import ClosedSchema
from nbstep.runs.run import Run
from nbstep.server.claims import Claim
from nbstep.server.config import Config, covers
from nbstep.server.folders import RecordsAlone, RunFolder
from nbstep.server.notebooks import Notebooks
from nbstep.server.objects import lies_in
from nbstep.server.problems import Problem
from nbstep.submission.again import request_again
from nbstep.submission.places import RunPlaces, new_run_id
from nbstep.submission.request import Request as RunRequest
from nbstep.submission.request import prepare
from nbstep_runner.contract import ParameterSource, RunSpec, UnknownParameters, decode
from nbstep_runner.nonfinite import read
from nbstep_runner.parameters import Signature, read_signature, resolve

AT_ONCE: Final = 4
"""Submissions that are read and checked at once: each holds its notebook in memory."""
SUBMITTED_BY: Final = "nbstep/submitted-by"
_KEY: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
SPEC: Final = {"html": True}
T = TypeVar("T")


class Again(ClosedSchema, frozen=True):
    """What a run is run again with.

    Attributes:
        parameters: Over those that it had.
        profile: One of the folder's; its first if left out.
        overrides: Fields of the profile that it opens, such as ``{"resources": {"memory": "8Gi"}}``.
        run_id: Names the new run; made of the earlier one's and the time if left out.
    """

    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    profile: str | None = None
    overrides: dict[str, Any] = msgspec.field(default_factory=dict)
    run_id: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class Asked(Again, frozen=True):
    """A run that is asked for.

    Attributes:
        notebook: A URI or a path below one of the server's places; left out where a notebook is uploaded.
        run_id: Names the run; made of the notebook's name and the time if left out.
    """

    notebook: str = ""


class Starting:
    """Starts runs for callers who may.

    Attributes:
        notebooks: Those that may be named.
    """

    def __init__(self, config: Config) -> None:
        self._open = config.open
        self.notebooks = Notebooks(config)
        self._limiter = CapacityLimiter(AT_ONCE)

    async def apart(self, work: Callable[[], T]) -> T:
        """What work returns that reads notebooks, or starts a run: it blocks, so it is done on one of a few threads."""
        return await to_thread.run_sync(work, limiter=self._limiter)

    def opened(self, profile: str) -> tuple[str, ...]:
        """The fields of a profile that a request may set."""
        return self._open.get(profile, ())

    def made_of(self, folder: RunFolder, run_id: str) -> tuple[Signature, dict[str, Any]]:
        """What a run's notebook takes, and what the run gave it, in JSON's types.

        Raises:
            Problem: There is no such run, or what it was made of does not lie in its folder.
            NbstepError: It cannot be read.
        """
        run, places = folder.run(run_id), folder.places(run_id)
        _check_made_of(run, places)
        signature = read_signature(read_notebook(places.input, folder.folder.storage).content)
        given = ParameterSource.file(places.params)
        values = resolve((given,), lambda uri: run.store.read(uri).data, signature, unknown=UnknownParameters.IGNORE)
        return signature, values.as_json()

    def start(self, folder: RunFolder, caller: str, key: str | None, asked: Asked, uploaded: Path | None) -> str:
        """Start the run that is asked for, unless it was before; its id."""
        if (uploaded is None) == (not asked.notebook):
            raise _usage("a notebook is either named, by `notebook`, or uploaded, as a form")
        profile = self.profile(folder, caller, asked)
        named = _named(caller, folder, key, asked)
        run_id = named or new_run_id(uploaded.name if uploaded else asked.notebook)
        claim = Claim(folder, run_id, [caller, asked, _digest(uploaded)]) if named else None
        if claim is None or not claim.is_done():
            notebook = str(uploaded or self.notebooks.checked(asked.notebook, folder.folder.storage))
            sources = _sources(asked)
            _begin(RunRequest(notebook=notebook, profile=profile, sources=sources, run_id=run_id, spec=SPEC), claim)
            folder.index.note(run_id)
        return run_id

    def start_again(self, folder: RunFolder, caller: str, key: str | None, again: Again, earlier: str) -> str:
        """Run a run again, unless this very request did before; the new run's id."""
        run = folder.run(earlier)
        profile = self.profile(folder, caller, again)
        _check_made_of(run, folder.places(earlier))
        named = _named(caller, folder, key, again)
        run_id = named or new_run_id(run.family)
        claim = Claim(folder, run_id, [caller, again, earlier]) if named else None
        if claim is None or not claim.is_done():
            with request_again(run, _sources(again), {}, profile=profile, run_id=run_id) as asked:
                _begin(asked, claim)
            folder.index.note(run_id)
        return run_id

    def profile(self, folder: RunFolder, caller: str, asked: Again) -> Profile:
        """The server's profile of that name, with what the folder and the server say over it.

        Raises:
            Problem: The folder has none of that name, or a label or a field is none that a caller may set.
            BadInputError: A value does not fit the field.
        """
        names = folder.folder.profiles
        if not names:
            raise Problem(status=403, reference="forbidden", detail=f"no runs are submitted to {folder.name}")
        name = asked.profile or names[0]
        if name not in names:
            raise _usage(f"{folder.name} has no profile {name[:80]!r}", hint=f"There are: {', '.join(names)}.")
        for label in asked.labels:
            if not _LABEL.fullmatch(label):
                raise _usage(f"the label {label[:80]!r} is none that a request may set", hint="Use a name without '/'.")
        _check_open(name, asked.overrides, self.opened(name))
        own = {"labels": asked.labels | {SUBMITTED_BY: caller}}
        ours = folder.profiles[name]
        chosen = overlaid(overlaid(ours, asked.overrides), own)
        _check_no_secrets(chosen.env, ours.env)
        return msgspec.structs.replace(chosen, runs=folder.folder.uri, storage=folder.folder.storage)


def _check_open(profile: str, overrides: dict[str, Any], opened: tuple[str, ...]) -> None:
    for path in _unopened(overrides, opened):
        raise Problem(
            status=403,
            reference="forbidden",
            detail=f"the profile {profile} does not let a request set {path[:200]}",
            hint=f"It lets it set: {', '.join(opened) or 'nothing'}.",
        )


def _check_no_secrets(env: Mapping[str, str | Reference], ours: Mapping[str, str | Reference]) -> None:
    """Whether a request has set variables to values alone: a Secret of the namespace is not every submitter's to read.

    Raises:
        Problem: It names a Secret or a ConfigMap.
    """
    for name, value in env.items():
        if not isinstance(value, str) and value != ours.get(name):
            detail = f"a request sets the variable {name[:200]} to a value, not to what a Secret or a ConfigMap holds"
            raise Problem(status=403, reference="forbidden", detail=detail, hint="Ask for a profile that names it.")


def _unopened(values: dict[str, Any], opened: tuple[str, ...], within: str = "") -> Iterator[str]:
    """The fields that values are given for and that are not open, nor a mapping with one that is."""
    for name, value in values.items():
        path = f"{within}{name}"
        if any(covers(field, path) for field in opened):
            continue
        if isinstance(value, dict) and any(covers(path, field) for field in opened):
            yield from _unopened(value, opened, f"{path}.")
        else:
            yield path


def run_id_of_key(caller: str, folder: str, key: str) -> str:
    """The id that a caller's key is there: the same for the same three, and for no others."""
    return f"key-{hashlib.sha256(msgspec.json.encode([caller, folder, key])).hexdigest()[:40]}"


def _named(caller: str, folder: RunFolder, key: str | None, asked: Again) -> str | None:
    """The id that a request gives its run, itself or by its key.

    Raises:
        Problem: It gives both, or one that is none.
    """
    if key is None:
        return None if asked.run_id is None else checked_run_id(asked.run_id)
    if asked.run_id is not None:
        raise _usage("a request has an Idempotency-Key or a run_id, not both")
    if not _KEY.fullmatch(key):
        raise _usage("the Idempotency-Key is none", hint="Use up to 255 visible characters, such as a UUID.")
    return run_id_of_key(caller, folder.name, key)


def _begin(asked: RunRequest, claim: Claim | None) -> None:
    """Start a run, once all of it is known to fit: a request that is refused takes no id."""
    prepared = prepare(asked)
    if claim is not None:
        claim.take()
    start(prepared)


def _sources(asked: Again) -> tuple[ParameterSource, ...]:
    return (ParameterSource.values(read(asked.parameters)),) if asked.parameters else ()


def _check_made_of(run: Run, places: RunPlaces) -> None:
    """Whether what a run was made of lies in its own folder: whoever may write there must not have others' files read.

    Raises:
        Problem: It does not, or the run is an endpoint.
        InputNotFoundError: It is not there any more.
    """
    spec = decode(run.store.read(places.spec).data, RunSpec)
    paths = [PurePosixPath(file.path) for file in spec.files]
    inside = all(not path.is_absolute() and ".." not in path.parts for path in paths)
    read = (places.spec, places.input, places.params, *(places.file(file.path) for file in spec.files))
    if not inside or not all(lies_in(uri, run.output_uri) for uri in read):
        detail = f"what the run {run.id} was made of does not lie in its folder"
        raise Problem(status=409, reference="bad-input", detail=detail, hint="Submit its notebook as a new run.")
    if spec.serving is not None:
        raise Problem(
            status=409, reference="usage", detail=f"{run.id} is an endpoint, which is not run again from here"
        )


def end(folder: RunFolder, run_id: str) -> None:
    """Ask a run to save and end; one that has ended stays as it is.

    Raises:
        Problem: It is in no place that this server reaches.
    """
    run = folder.run(run_id)
    if isinstance(run.backend, RecordsAlone):
        record = run.record()
        if record is not None and record.state.final:
            return
        detail = f"the run {run_id} was not submitted with a profile of {folder.name}, so it cannot be cancelled here"
        hint = "Cancel it from where it was submitted."
        raise Problem(status=409, reference="usage", detail=detail, hint=hint)
    with suppress(RunNotFoundError):  # its place has forgotten it: it has ended
        run.cancel()


def _digest(file: Path | None) -> str:
    return "" if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


def _usage(detail: str, hint: str = "") -> Problem:
    return Problem(status=400, reference="usage", detail=detail, hint=hint)
