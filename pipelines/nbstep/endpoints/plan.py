"""An endpoint as it is asked for, made into what a host starts: checked like a run, and nothing is written yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from nbstep.backends.protocol import Submission
from nbstep.images.run_image import RunImage
from nbstep.profiles.exposure import Exposure
from nbstep.submission.request import Prepared, Request, prepare
from nbstep_runner.contract import ParameterSource, RunSpec, ServingOptions, encode
from nbstep_runner.errors import UsageError
from nbstep_runner.stores import Source, join

NAME_LENGTH: Final = 40
"""Characters of the longest name: a revision and a pod's own ending still fit behind it."""
ENDPOINT_LABEL: Final = "nbstep/endpoint"
REVISION_LABEL: Final = "nbstep/revision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One revision of an endpoint, ready to be uploaded and started.

    Attributes:
        name: The endpoint's.
        revision: Names what is served: notebook, parameters, files and options. The same ones are the same revision.
        folder: Where all of the endpoint's objects lie, as this machine reaches them.
        uploads: What has to lie there before it starts, the spec last.
        image: What is to be built before it can start, if it is not there.
        warnings: What whoever starts it should know.
    """

    name: str
    revision: str
    folder: str
    submission: Submission
    exposure: Exposure
    uploads: tuple[tuple[str, Source], ...]
    image: RunImage | None = None
    warnings: tuple[str, ...] = ()


def plan_endpoint(request: Request, name: str | None, serving: ServingOptions, exposure: Exposure) -> Deployment:
    """Read and check everything, and write nothing.

    Args:
        request: The notebook, its parameters and its place, as of any run.
        name: The endpoint's; made of the notebook's name and the time if ``None``.
        serving: Limits, address and port.
        exposure: How it is reached.

    Raises:
        NbstepError: As :func:`~nbstep.submission.request.prepare` has it.
        UsageError: The name is too long.
    """
    if name is not None and len(name) > NAME_LENGTH:
        raise UsageError(f"the name {name!r} is too long", hint=f"Use at most {NAME_LENGTH} characters.")
    prepared = prepare(replace(request, run_id=name))
    name = prepared.submission.spec.run_id
    serving = replace(serving, name=name)
    revision = _revision(prepared, serving)
    submission = _submission(prepared, revision, serving)
    return Deployment(
        name=name,
        revision=revision,
        folder=prepared.places.folder,
        submission=submission,
        exposure=exposure,
        uploads=_uploads(prepared, revision, submission.spec),
        image=prepared.image,
        warnings=prepared.warnings,
    )


def _revision(prepared: Prepared, serving: ServingOptions) -> str:
    digest = hashlib.sha256(encode(serving))
    for uri, source in prepared.uploads:
        digest.update(uri.encode())
        digest.update(source.read_bytes() if isinstance(source, Path) else source)
    digest.update(msgspec.json.encode(prepared.submission.profile))
    return digest.hexdigest()[:10]


def _submission(prepared: Prepared, revision: str, serving: ServingOptions) -> Submission:
    """The prepared run, with its inputs in the revision's own folder: an older revision keeps what it starts from."""
    given = prepared.submission
    folder = given.spec_uri.rpartition("/")[0]
    inputs = join(folder, f"revision-{revision}")

    def moved(uri: str) -> str:
        return inputs + uri[len(folder) :]

    spec = replace(
        given.spec,
        input_uri=moved(given.spec.input_uri),
        parameters=tuple(ParameterSource.file(moved(source.uri)) for source in given.spec.parameters),
        files=tuple(replace(file, uri=moved(file.uri)) for file in given.spec.files),
        labels=given.spec.labels | {ENDPOINT_LABEL: given.spec.run_id, REVISION_LABEL: revision},
        html=False,
        serving=serving,
    )
    return replace(given, spec=spec, spec_uri=join(inputs, "serving.json"))


def _uploads(prepared: Prepared, revision: str, spec: RunSpec) -> tuple[tuple[str, Source], ...]:
    folder = prepared.places.folder
    inputs = join(folder, f"revision-{revision}")
    moved = [(inputs + uri[len(folder) :], source) for uri, source in prepared.uploads[:-1]]
    return (*moved, (join(inputs, "serving.json"), encode(spec, indent=1)))
