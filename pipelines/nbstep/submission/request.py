"""What a caller of ``submit`` asks for, checked and made into what a backend starts; nothing is written yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from nbstep.authoring.notebook import StoredNotebook, label_of, read_notebook
from nbstep.backends.protocol import Brought, Submission, checked_run_id
from nbstep.backends.reach import Packages, Reach, reach_of
from nbstep.backends.registry import backend_named
from nbstep.backends.stores import named_runs
from nbstep.images.requirements import RequirementLines, check_installed, read_requirements
from nbstep.profiles import Profile
from nbstep.profiles.storage import DEFAULT_RUNS, absolute, store_of
from nbstep.profiles.volume_claims import SCHEME, claims_in, here
from nbstep.submission.files import Bundled, Files, collect
from nbstep.submission.places import RunPlaces, new_run_id
from nbstep_runner.contract import (
    InputFile,
    ParameterSource,
    Pattern,
    RunSpec,
    StorageOptions,
    UnknownParameters,
    decode,
    encode,
)
from nbstep_runner.errors import UsageError
from nbstep_runner.parameters import dump_yaml, overwritten, read_signature, resolve
from nbstep_runner.stores import Source

if TYPE_CHECKING:
    from nbstep.images.run_image import RunImage

_OF_THE_REQUEST: Final = (
    *("run_id", "attempt", "input_uri", "output_uri", "parameters", "unknown_parameters", "files"),
    *("deadlines", "storage", "labels", "collect", "needs", "schema_version"),
)
SPEC_FIELDS: Final = tuple(each.name for each in fields(RunSpec) if each.name not in _OF_THE_REQUEST)
"""Fields of a ``RunSpec`` that a call may set; the others follow from the rest of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One run, as it is asked for.

    Attributes:
        notebook: A path or a URI.
        sources: Of parameters, in order; a later one wins.
        files: What the notebook finds in its working directory.
        requirements: A requirements file, or its lines: checked for a local run, else built into an image.
        spec: Further fields of the ``RunSpec`` by name, such as ``kernel`` or ``allow_errors``.
    """

    notebook: str
    profile: Profile
    sources: tuple[ParameterSource, ...] = ()
    files: Files = ()
    requirements: RequirementLines | None = None
    run_id: str | None = None
    unknown_parameters: UnknownParameters = UnknownParameters.ERROR
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that fits its notebook, ready to be uploaded and started.

    Attributes:
        places: Where its objects lie, as this machine reaches them.
        uploads: What has to lie there before it starts, the spec last.
        image: What is to be built before it can start, if it is not there.
        stored: Whether it is uploaded; otherwise the backend sends it itself.
        warnings: What whoever starts it should know.
    """

    submission: Submission
    places: RunPlaces
    uploads: tuple[tuple[str, Source], ...]
    image: RunImage | None = None
    warnings: tuple[str, ...] = ()
    stored: bool = True

    @property
    def inputs(self) -> tuple[tuple[str, Source], ...]:
        """Of the uploads what the notebook's parameters decide nothing of: the notebook and its files."""
        return tuple(each for each in self.uploads if each[0] not in (self.places.params, self.places.spec))

    @property
    def storage(self) -> StorageOptions:
        """How this machine reaches the places."""
        return self.submission.profile.storage


def unknown_policy(name: str) -> UnknownParameters:
    """What is done about parameters that the notebook does not declare.

    Raises:
        UsageError: There is no such policy.
    """
    try:
        return UnknownParameters(name)
    except ValueError:
        known = ", ".join(UnknownParameters)
        raise UsageError(f"unknown_parameters cannot be {name!r}", hint=f"It is one of {known}.") from None


def prepare(request: Request) -> Prepared:
    """Read and check everything, and write nothing.

    Raises:
        BadInputError: The notebook is none, the parameters do not fit it, or a requirement is not installed.
        InputNotFoundError: The notebook or a declared file does not exist.
        UsageError: The profile lacks something, the place of the runs is out of somebody's reach, the spec has no such
            field, or an image is needed and nothing here can build one.
    """
    profile = request.profile
    reach = reach_of(backend_named(profile.on), profile)  # an unknown backend is a mistake to tell first
    check_fields(request.spec)
    for text in profile.collect:
        Pattern.of(text)
    notebook = read_notebook(request.notebook, profile.storage)
    values, warnings = _parameters(request, notebook)
    run_id = checked_run_id(request.run_id or new_run_id(request.notebook))
    runs = absolute(named_runs(profile) or DEFAULT_RUNS)
    _check_reach(runs, reach)
    places = RunPlaces.of(here(runs, profile.kubernetes.claims), run_id)
    there = RunPlaces.of(reach.translate(runs), run_id)
    base = Path(request.notebook).parent if "://" not in request.notebook else Path()
    files = collect(request.files, base)
    spec = _spec(request, reach, run_id, there, files)
    named = claims_in([runs, values, request.spec.get("working_directory")])
    image = _image(request, reach)  # last, since it may fetch the base
    name, content = f"{label_of(request.notebook, 40, 'notebook')}.ipynb", notebook.text.encode()
    submission = Submission(
        spec=spec,
        spec_uri=there.spec,
        profile=_with_image(profile, image),
        claims=tuple(dict.fromkeys([*profile.kubernetes.claims, *named])),
        brought=Brought(name=name, notebook=content, parameters=values),
    )
    uploads: tuple[tuple[str, Source], ...] = (
        (places.input, content),
        (places.params, dump_yaml(reach.translate(values))),
        *((places.file(file.path), file.source) for file in files),
        (places.spec, encode(spec, indent=1)),
    )
    return Prepared(
        submission=submission, places=places, uploads=uploads, image=image, warnings=warnings, stored=reach.uploads
    )


def _parameters(request: Request, notebook: StoredNotebook) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values to give, once they fit the notebook's signature."""
    storage = request.profile.storage
    spoken = {name: request.spec.get(name) for name in ("language", "kernel")}
    signature = read_signature(notebook.content, **spoken)
    resolved = resolve(
        request.sources,
        lambda uri: store_of(uri, storage).read(uri).data,
        signature,
        unknown=request.unknown_parameters,
    )
    return resolved.values, (*resolved.warnings, *overwritten(notebook.content, resolved.values, **spoken))


def _image(request: Request, reach: Reach) -> RunImage | None:
    """The image that brings the run's requirements, where it takes one; where it takes none they are there already."""
    if not request.requirements:
        return None
    requirements = read_requirements(request.requirements)
    if reach.packages is Packages.INSTALLED:
        check_installed(requirements)
        return None
    if reach.packages is Packages.UNKNOWN:
        raise UsageError(
            f"nbstep does not know how requirements come to runs of the backend {request.profile.on!r}",
            hint="Build an image with `nbstep build`, and name it with image=.",
        )
    from nbstep.images.run_image import run_image

    publish = reach.packages is Packages.PUBLISHED
    return run_image(request.notebook, requirements, request.profile, publish=publish)


def _with_image(profile: Profile, image: RunImage | None) -> Profile:
    """The profile with the image that is built for the run; its name is its content: nothing newer is pulled."""
    if image is None:
        return profile
    docker = msgspec.structs.replace(profile.docker, pull=False)
    return msgspec.structs.replace(profile, image=image.name, docker=docker)


def _spec(request: Request, reach: Reach, run_id: str, there: RunPlaces, files: tuple[Bundled, ...]) -> RunSpec:
    profile = request.profile
    further = {"state": profile.state, **request.spec}
    if folder := further.get("working_directory"):
        further["working_directory"] = reach.translate(absolute(folder) if reach.local_files else folder)
    return RunSpec(
        run_id=run_id,
        input_uri=there.input,
        output_uri=there.output,
        parameters=(ParameterSource.file(there.params),),
        unknown_parameters=request.unknown_parameters,
        files=tuple(InputFile(path=file.path, uri=there.file(file.path), checksum=file.checksum) for file in files),
        deadlines=profile.deadlines,
        storage=reach.storage,
        labels=profile.labels,
        collect=profile.collect,
        **further,
    )


def check_fields(given: Mapping[str, Any], known: Sequence[str] = SPEC_FIELDS) -> None:
    """Whether a call may set these fields of the spec, and to these values.

    Raises:
        UsageError: There is no such field that a call can set.
        BadInputError: A value is of another type than its field.
    """
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
            raise UsageError(f"a run has no field {name!r} that a call can set", hint=hint)
    decode(encode(RunSpec(run_id="", input_uri="", output_uri="", **given)), RunSpec)  # checks the types


def _check_reach(runs: str, reach: Reach) -> None:
    if not reach.local_files and "://" not in runs:
        raise UsageError(
            f"a cluster cannot reach {runs} on this machine",
            hint=f"Name a bucket with runs=, such as gs://bucket/runs, or a claim: {SCHEME}claim/runs.",
        )
