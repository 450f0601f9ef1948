"""An endpoint as a step: what a serving notebook needs comes in, the URL where it answers goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from nbstep.backends.reach import reach_of
from nbstep.backends.registry import backend_named
from nbstep.backends.stores import named_runs
from nbstep.profiles import Profile, load_profile
from nbstep.profiles.exposure import URL, Exposure, ServedStep
from nbstep.profiles.kubernetes import KubernetesOptions
from nbstep.profiles.volume_claims import ROOT
from nbstep.steps.definition import NotebookStep, notebook_step
from nbstep.steps.ports import Artifact
from nbstep_runner.errors import BadInputError


def endpoint_step(  # noqa: PLR0913 - as notebook_step and serve: everything but the notebook has a default and a name
    notebook: str | Path,
    *,
    image: str | None = None,
    name: str | None = None,
    inputs: Mapping[str, str | Artifact] | None = None,
    values: Mapping[str, Any] | None = None,
    runs: str | Path | None = None,
    profile: Profile | str | None = None,
    port: int = 0,
    service: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP",
    replicas: int = 1,
    limits: Mapping[str, float] | None = None,
    timeout: float = 600.0,
) -> NotebookStep:
    """A served notebook as a step of a pipeline, which ends once the endpoint answers; its output is ``url``.

    The endpoint outlives the pipeline; the next run of the step takes over from it, as the same name served again does.
    The engine never takes the step from its cache. The notebook is told where an artifact lies by its URI, because what
    is mounted for the step is not there for the endpoint.

    Args:
        notebook: A path or URI; read now.
        image: Of the step and of the endpoint: it has the extras ``serve`` and, for a cluster, ``kubernetes``.
        name: The step's and the endpoint's; the notebook's file name if ``None``.
        inputs: Artifacts that come in, with their types. Those that a call brings from another step need not be named.
        values: Parameters that no pipeline sets.
        runs: The folder of the endpoint's runs, a URI that the endpoint can reach.
        profile: Where the endpoint runs and with what; a profile or the name of one in the profiles file.
        port: Of this machine, where 0 takes a free one; of a cluster's Service, where 0 is 80.
        service: ``ClusterIP``, ``NodePort`` or ``LoadBalancer``.
        replicas: Pods of a cluster.
        limits: ``body_bytes``, ``request_seconds``, ``concurrency``, ``waiting``.
        timeout: Seconds until the endpoint has to answer.

    Raises:
        BadInputError: It is not a notebook, the declarations do not fit it, or a cluster's endpoint has no ``runs``.
        UsageError: There is no such place.
        InputNotFoundError, StorageDeniedError, StorageUnavailableError: It cannot be read.
    """
    around = load_profile(profile, {}) if isinstance(profile, str) else profile or Profile()
    step = notebook_step(
        notebook,
        image=image or around.image,
        name=name,
        inputs=inputs,
        values=values,
        results={URL: str},
        html=False,
        retries=0,
        state=False,
        profile=msgspec.structs.replace(around, runs=None),
    )
    place, options = str(runs) if runs else named_runs(around), around.kubernetes
    if not reach_of(backend_named(around.on), around).local_files:
        if place is None:
            raise BadInputError(
                f"the endpoint of step {step.name} has no folder for its runs",
                hint="Name a place that the cluster reaches with runs=, such as gs://bucket/endpoints.",
            )
        options = _in_pod(options)
    placed = msgspec.structs.replace(around, runs=place, image=step.image, kubernetes=options)
    exposure = Exposure(port=port, service=service, replicas=replicas)
    served = ServedStep(name=step.name, profile=placed, exposure=exposure, limits=dict(limits or {}), timeout=timeout)
    return replace(step, served=served)


def _in_pod(options: KubernetesOptions) -> KubernetesOptions:
    """The options as they hold in the step's pod, where claims are where ``place`` mounts them."""
    claims = {name: msgspec.structs.replace(claim, here=f"{ROOT}/{name}") for name, claim in options.claims.items()}
    return msgspec.structs.replace(options, claims=claims)
