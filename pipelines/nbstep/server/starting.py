"""What a request to start or end a run means: once each, with the server's own profiles and under its own labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

import msgspec
from anyio import CapacityLimiter, to_thread

from nbstep.api import start
from nbstep.authoring.notebook import read_notebook
from nbstep.errors import RunNotFoundError
from nbstep.profiles import Profile, Reference, overlaid
from nbstep.runs.run import Run
from nbstep.server.asked import Again, Asked, check_labels, check_one_notebook, digest_of, named_by, sources_of
from nbstep.server.claims import RequestClaim
from nbstep.server.config import Config, covers
from nbstep.server.folders import RecordsAlone, RunFolder
from nbstep.server.links import lies_in
from nbstep.server.notebooks import Notebooks
from nbstep.server.problems import Problem, forbidden, usage
from nbstep.submission.again import request_again
from nbstep.submission.places import RunPlaces, new_run_id
from nbstep.submission.request import Request as RunRequest
from nbstep.submission.request import prepare
from nbstep_runner.contract import ParameterSource, RunSpec, UnknownParameters, decode
from nbstep_runner.parameters import Signature, read_signature, resolve

AT_ONCE: Final = 4
"""Submissions that are read and checked at once: each holds its notebook in memory."""
SUBMITTED_BY: Final = "nbstep/submitted-by"
T = TypeVar("T")


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
        check_one_notebook(asked, uploaded)
        profile = self.profile(folder, caller, asked)
        named = named_by(caller, folder, key, asked)
        run_id = named or new_run_id(uploaded.name if uploaded else asked.notebook)
        claim = RequestClaim(folder, run_id, [caller, asked, digest_of(uploaded)]) if named else None
        if claim is None or not claim.is_done():
            notebook = str(uploaded or self.notebooks.checked(asked.notebook, folder.folder.storage))
            sources, spec = sources_of(asked), {"html": asked.html}
            _begin(RunRequest(notebook=notebook, profile=profile, sources=sources, run_id=run_id, spec=spec), claim)
            folder.index.note(run_id)
        return run_id

    def start_again(self, folder: RunFolder, caller: str, key: str | None, again: Again, earlier: str) -> str:
        """Run a run again, unless this very request did before; the new run's id."""
        run = folder.run(earlier)
        profile = self.profile(folder, caller, again)
        _check_made_of(run, folder.places(earlier))
        named = named_by(caller, folder, key, again)
        run_id = named or new_run_id(run.family)
        claim = RequestClaim(folder, run_id, [caller, again, earlier]) if named else None
        if claim is None or not claim.is_done():
            with request_again(run, sources_of(again), {}, profile=profile, run_id=run_id) as asked:
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
            raise forbidden(f"no runs are submitted to {folder.name}")
        name = asked.profile or names[0]
        if name not in names:
            raise usage(f"{folder.name} has no profile {name[:80]!r}", hint=f"There are: {', '.join(names)}.")
        check_labels(asked)
        _check_open(name, asked.overrides, self.opened(name))
        own = {"labels": asked.labels | {SUBMITTED_BY: caller}}
        ours = folder.profiles[name]
        chosen = overlaid(overlaid(ours, asked.overrides), own)
        _check_no_secrets(chosen.env, ours.env)
        return msgspec.structs.replace(chosen, runs=folder.folder.uri, storage=folder.folder.storage)


def _check_open(profile: str, overrides: dict[str, Any], opened: tuple[str, ...]) -> None:
    for path in _unopened(overrides, opened):
        raise forbidden(
            f"the profile {profile} does not let a request set {path[:200]}",
            hint=f"It lets it set: {', '.join(opened) or 'nothing'}.",
        )


def _check_no_secrets(env: Mapping[str, str | Reference], ours: Mapping[str, str | Reference]) -> None:
    """Whether a request has set variables to values alone: a Secret of the namespace is not every submitter's to read.

    Raises:
        Problem: It names a Secret or a ConfigMap.
    """
    for name, value in env.items():
        if not isinstance(value, str) and value != ours.get(name):
            raise forbidden(
                f"a request sets the variable {name[:200]} to a value, not to what a Secret or a ConfigMap holds",
                hint="Ask for a profile that names it.",
            )


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


def _begin(asked: RunRequest, claim: RequestClaim | None) -> None:
    """Start a run, once all of it is known to fit: a request that is refused takes no id."""
    prepared = prepare(asked)
    if claim is not None:
        claim.take()
    start(prepared)


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
    if not inside or not all(lies_in(uri, places.folder) for uri in read):
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
