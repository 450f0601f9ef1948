"""A run that was submitted, asked for again: the same notebook, files and place, and other parameters where given."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from nbstep.backends.protocol import Submission, checked_run_id
from nbstep.backends.stores import store_of
from nbstep.profiles import Profile, merged, overlaid
from nbstep.runs.run import Run
from nbstep.submission.find import Submitted
from nbstep.submission.places import RunPlaces, new_run_id
from nbstep.submission.request import SPEC_FIELDS, Request
from nbstep_runner.contract import (
    InputFile,
    ParameterSource,
    RunSpec,
    StorageOptions,
    UnknownParameters,
    decode,
    encode,
)
from nbstep_runner.errors import InputNotFoundError, UsageError
from nbstep_runner.parameters import Signature, read_signature, resolve


def remember(uri: str, handle: str, submission: Submission, storage: StorageOptions) -> None:
    """Write down, at ``uri``, where a run or a sweep was sent; of a run also with what, so that it can be run again."""
    swept = submission.workers is not None
    sent = Submitted(
        handle=handle,
        on=submission.profile.on,
        submitted_at=datetime.now(UTC).isoformat(timespec="seconds"),
        image=submission.profile.image,
        profile={} if swept else kept_profile(submission),
        sweep=swept,
    )
    store_of(uri, storage).write(uri, encode(sent, indent=1))


def kept_profile(submission: Submission) -> dict[str, Any]:
    """Where and how a run takes place, as its folder keeps it.

    How stores are reached is left out, and so are the values of environment variables, which may be secrets: a variable
    is kept as ``None``.
    """
    kept: dict[str, Any] = msgspec.to_builtins(submission.profile)
    del kept["storage"]
    if kept["server"] is not None:
        del kept["server"]["named"]  # is worked out anew, and nobody may write it
    kept["env"] = {name: None if isinstance(value, str) else value for name, value in kept["env"].items()}
    claims = kept["kubernetes"]["claims"]
    kept["kubernetes"]["claims"] = {name: claims.get(name, {}) for name in submission.claims}
    return kept


@contextmanager
def request_again(  # noqa: PLR0913 - what a run may have in place of the earlier one, each by its name
    run: Run,
    sources: Sequence[ParameterSource],
    over: Mapping[str, Any],
    *,
    profile: Profile | None = None,
    run_id: str | None = None,
    notebook: str | None = None,
    resume: bool = False,
) -> Iterator[Request]:
    """The request that made a run, as a new one; it is good as long as the context is.

    Args:
        run: The earlier run.
        sources: Of parameters, over those of the earlier run.
        over: Fields of the profile, over those of the earlier run or of ``profile``.
        profile: Where it takes place now; where it did if ``None``.
        run_id: Names the new run; made of the earlier one's and the time if ``None``.
        notebook: In place of the run's own, a path or a URI.
        resume: Go on from the newest state of the earlier run.

    Raises:
        InputNotFoundError: What the run was made of is no longer there.
        UsageError: A value of its environment has to be given again.
    """
    folder, _, _ = run.output_uri.rpartition("/")
    places = RunPlaces(folder)
    if run.store.stat(places.spec) is None:
        raise InputNotFoundError(
            f"what the run {run.id} was made of is not beside it", hint=f"It would lie in {folder}: submit it anew."
        )
    spec = decode(run.store.read(places.spec).data, RunSpec)
    beside = {"runs": folder.rpartition("/")[0]}
    chosen = overlaid(profile, merged(beside, over)) if profile else _profile(run, places, beside, over)
    asked = {name: getattr(spec, name) for name in SPEC_FIELDS}
    asked |= {"resume": False, "state_from": spec.output_uri if resume else ""}
    usual = RunSpec(run_id="", input_uri="", output_uri="")
    with tempfile.TemporaryDirectory(prefix="nbstep-") as scratch:
        yield Request(
            notebook=notebook or places.input,
            profile=chosen,
            sources=(ParameterSource.file(places.params), *sources),
            files=_fetched(run, places, spec.files, Path(scratch)),
            run_id=new_id(run, run_id),
            unknown_parameters=spec.unknown_parameters,
            spec={name: value for name, value in asked.items() if value != getattr(usual, name)},
        )


def new_id(run: Run, given: str | None) -> str:
    """What a run that is run again is called: as it is asked for, or by the earlier one's name and the time."""
    return checked_run_id(given or new_run_id(run.family))


def values_over(run: Run, sources: Sequence[ParameterSource]) -> dict[str, Any]:
    """Parameters over those of a run, as its executed notebook declares them; as they are given where there is none.

    Raises:
        BadInputError: They do not fit the notebook.
    """
    if not sources:
        return {}
    signature = Signature()
    with suppress(InputNotFoundError):
        signature = read_signature(run.notebook())
    had = tuple(replace(parameter, required=False) for parameter in signature.parameters)
    return resolve(
        sources,
        lambda each: store_of(each, run.storage).read(each).data,
        replace(signature, parameters=had),
        unknown=UnknownParameters.ERROR,
    ).values


def _profile(run: Run, places: RunPlaces, beside: Mapping[str, Any], over: Mapping[str, Any]) -> Profile:
    """The earlier run's, with what is given over it."""
    sent = decode(run.store.read(places.submission).data, Submitted)
    if not sent.profile:
        raise UsageError(
            f"how the run {run.id} was submitted is not known: an older nbstep did it",
            hint="Name a profile with --profile.",
        )
    base = sent.profile | {"storage": msgspec.to_builtins(run.storage)}
    if "://" not in (base["runs"] or ""):  # a path is meant from where the first run was submitted
        base |= beside
    wanted = merged(base, over)
    unknown = [name for name, value in wanted["env"].items() if value is None]
    if unknown:
        raise UsageError(
            f"the values of {', '.join(unknown)} are not kept with the run {run.id}",
            hint="Give them again with --env NAME=VALUE.",
        )
    return overlaid(Profile(), wanted)


def _fetched(run: Run, places: RunPlaces, files: Sequence[InputFile], folder: Path) -> dict[str, str | Path]:
    """The files that the run declared, by their places in the working directory."""
    fetched: dict[str, str | Path] = {}
    for number, each in enumerate(files):
        fetched[each.path] = folder / str(number)
        (folder / str(number)).write_bytes(run.store.read(places.file(each.path)).data)
    return fetched
