"""``serve``: a notebook as an endpoint, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from nbstep.endpoints.endpoint import Endpoint, Placed, endpoint_in, place
from nbstep.endpoints.host import host_named
from nbstep.endpoints.plan import Deployment, plan_endpoint
from nbstep.errors import RunNotFoundError
from nbstep.images.requirements import RequirementLines
from nbstep.profiles import Profile, chosen_profile, merged
from nbstep.profiles.exposure import Exposure
from nbstep.submission.files import Files
from nbstep.submission.request import Request, unknown_policy
from nbstep.submission.upload import upload
from nbstep_runner.contract import ParameterSource, ServingOptions, decode
from nbstep_runner.errors import BadInputError, OutputConflictError, UsageError

LIMITS: Final = ("body_bytes", "request_seconds", "concurrency", "waiting")


def serve(  # noqa: PLR0913 - as submit: everything but the notebook has a default and a name
    notebook: str | Path,
    params: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    runs: str | Path | None = None,
    on: str | None = None,
    profile: str | Profile | None = None,
    image: str | None = None,
    resources: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    files: Files = (),
    requirements: RequirementLines | None = None,
    labels: Mapping[str, str] | None = None,
    unknown_parameters: str = "error",
    port: int = 0,
    service: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP",
    replicas: int = 1,
    limits: Mapping[str, Any] | None = None,
    timeout: float | None = 600.0,
    options: Mapping[str, Any] | None = None,
) -> Endpoint:
    """Serve what a notebook offers with ``nbstep_runner.serve``, and return once it answers.

    The same name served again takes over, where the place can do that without losing a request: on a cluster. With
    nothing changed it is found as it is.

    Args:
        notebook: A path or a URI.
        params: Values by name, such as the model's URI.
        name: Names the endpoint and its model; made of the notebook's name and the time if left out.
        runs: The folder of all runs, a URI; each start of the endpoint is a run below it.
        on: ``local``, ``docker`` or ``kubernetes``.
        profile: Of the profiles file; what the call names goes before what the profile says.
        image: For containers; it needs the extra ``serve``.
        resources: ``cpu``, ``memory``, ``gpu``, ``disk``, ``shared_memory``.
        env: Environment variables: values, or ``{"secret": NAME, "key": KEY}``.
        files: Files and folders that the notebook finds in its working directory.
        requirements: A requirements file, or a list of its lines.
        labels: Of its runs.
        unknown_parameters: ``error``, ``warn`` or ``ignore``.
        port: On this machine, as a process or a container, where 0 takes a free one; of a cluster's Service, where 0
            is 80.
        service: ``ClusterIP``, ``NodePort`` or ``LoadBalancer``.
        replicas: Pods of a cluster.
        limits: ``body_bytes``, ``request_seconds``, ``concurrency``, ``waiting``.
        timeout: Seconds until it has to answer; ``None`` is without bound.
        options: Further fields of the profile.

    Raises:
        OutputConflictError: Another revision of this name serves on this machine.
        WaitTimeoutError: It does not answer in time. It is left as it is.
        NbstepError: What keeps it from starting: the notebook's own error, or its place's reason.
    """
    place_fields = {"runs": runs, "on": on, "image": image}
    groups = {"resources": resources, "env": env, "labels": labels}
    request = Request(
        notebook=str(notebook),
        profile=chosen_profile(profile, merged(options or {}, place_fields | groups)),
        sources=(ParameterSource.values(dict(params)),) if params else (),
        files=files,
        requirements=requirements,
        unknown_parameters=unknown_policy(unknown_parameters),
    )
    exposure = Exposure(port=port, service=service, replicas=replicas)
    endpoint = start(planned(request, name, limits or {}, exposure))
    endpoint.wait(timeout)
    return endpoint


def planned(request: Request, name: str | None, limits: Mapping[str, Any], exposure: Exposure) -> Deployment:
    """What :func:`start` takes: checked, and nothing is written yet.

    Raises:
        NbstepError: As of :func:`serve`.
    """
    address, port = host_named(request.profile.on).listens(request.profile, exposure.port)
    return plan_endpoint(request, name, replace(_serving_options(limits), host=address, port=port), exposure)


def start(deployment: Deployment) -> Endpoint:
    """Upload a planned endpoint's inputs and start it; returns at once.

    Raises:
        OutputConflictError: Another revision of this name serves, and its place cannot take over from it.
    """
    profile = deployment.submission.profile
    host = host_named(profile.on)
    plan = host.plan(deployment)
    _check_free(deployment, plan.handle)
    if deployment.image is not None:
        deployment.image.provide()
    upload(deployment.uploads, profile.storage)
    host.start(plan)
    placed = Placed(name=deployment.name, on=profile.on, handle=plan.handle, revision=deployment.revision)
    return place(placed, deployment.folder, profile.storage)


def planned_text(deployment: Deployment) -> str:
    """What :func:`start` would send, for people; asks nobody and changes nothing."""
    return host_named(deployment.submission.profile.on).plan(deployment).text


def _serving_options(limits: Mapping[str, Any]) -> ServingOptions:
    """The limits that a call names, over the usual ones.

    Raises:
        UsageError: There is no such limit.
        BadInputError: A limit cannot be that.
    """
    for name, value in limits.items():
        if name not in LIMITS:
            raise UsageError(f"an endpoint has no limit {name!r}", hint=f"There are: {', '.join(LIMITS)}.")
        if isinstance(value, int | float) and value <= 0:
            raise BadInputError(f"the limit {name} of an endpoint is more than 0, not {value}")
    return decode(msgspec.json.encode(dict(limits)), ServingOptions)


def _check_free(deployment: Deployment, handle: str) -> None:
    """Whether a revision of the same name is in the way: one that is another thing to its place, and alive."""
    try:
        other = endpoint_in(deployment.folder, deployment.submission.profile.storage)
    except RunNotFoundError:
        return
    if other.handle != handle and not other.status().state.final:
        raise OutputConflictError(
            f"the endpoint {deployment.name} serves another revision",
            hint="Delete it first, or choose another name: only a cluster lets one revision take over from another.",
        )
