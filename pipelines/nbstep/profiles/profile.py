"""Where runs take place, as data: an image, resources, a bucket, a namespace, under a name.

Profiles are YAML with a closed schema: a misspelt or unknown field is an error, so nothing is smuggled in and
nothing is silently ignored. ``docs/launcher.md`` describes each field.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

import msgspec

from nbstep.profiles.kubernetes import KubernetesOptions
from nbstep.profiles.quantities import quantity
from nbstep.profiles.schema import ClosedSchema
from nbstep.profiles.service import ServiceOptions
from nbstep_runner.contract import Deadlines, StorageOptions

Count = Annotated[int, msgspec.Meta(ge=0)]
MAY_BE_ZERO: Final = ("stall", "shutdown")
"""Deadlines of which 0 says that there is none, or that nothing is waited for."""


class Resources(ClosedSchema, frozen=True):
    """What a run may use. Quantities are written as Kubernetes writes them: ``500m``, ``2``, ``4Gi``.

    Attributes:
        cpu: Reserved; more is used where it is free, unless ``cpu_limit`` forbids it.
        memory: Reserved and the limit, so that an out-of-memory kill never depends on the neighbours.
        gpu_resource: The name under which the cluster counts GPUs.
        disk: Scratch space, reserved and the limit.
        shared_memory: The size of ``/dev/shm``, which PyTorch's loaders need; part of ``memory``.
    """

    cpu: str | float | None = None
    cpu_limit: str | float | None = None
    memory: str | None = None
    gpu: Count = 0
    gpu_resource: str = "nvidia.com/gpu"
    disk: str | None = None
    shared_memory: str | None = None

    def __post_init__(self) -> None:
        for name in ("cpu", "cpu_limit", "memory", "disk", "shared_memory"):
            if (value := getattr(self, name)) is not None:
                quantity(value, f"resources.{name}")


class Reference(ClosedSchema, frozen=True):
    """An environment variable's value from a Secret or a ConfigMap; a secret's value passes through nobody's hands."""

    key: str
    secret: str | None = None
    config_map: str | None = None

    def __post_init__(self) -> None:
        if (self.secret is None) == (self.config_map is None):
            raise ValueError("name either a secret or a config_map")


class DockerOptions(ClosedSchema, frozen=True):
    """What only the docker backend reads.

    Attributes:
        network: The container's network; the daemon's default if ``None``.
        user: Whom the runner runs as, ``uid[:gid]``; this process's own if ``None``.
        pull: Pull the image even if it is here.
    """

    network: str | None = None
    user: str | None = None
    pull: bool = False


class BuildOptions(ClosedSchema, frozen=True):
    """How the image of a run that has requirements is built, on top of the profile's image.

    Attributes:
        repository: Its name without a tag; made of the notebook's name if ``None``, where nothing is pushed.
        secrets: Files for the build alone, by id: ``pip.conf`` and ``ca.pem`` are used.
        network: The build's network; the builder's default if ``None``.
        platform: Such as ``linux/arm64``; the builder's own if ``None``.
        builder: The first that is installed if ``None``.
        push: Publish it; if ``None``, for a cluster only.
    """

    repository: str | None = None
    secrets: dict[str, str] = msgspec.field(default_factory=dict)
    network: str | None = None
    platform: str | None = None
    builder: Literal["docker", "podman", "buildah"] | None = None
    push: bool | None = None


class Profile(ClosedSchema, frozen=True):
    """A place to run at, complete or to be completed by the call.

    Attributes:
        on: The backend.
        runs: The folder of all runs, a URI; the backend's own if ``None``, where it has one.
        image: Named by digest or an immutable tag.
        env: The environment of the run: values, or references to secrets and ConfigMaps of the place.
        retries: How often a run is started again after a fault that may pass.
        state: A run keeps its state folder from attempt to attempt.
        collect: Which files that the notebook writes in its working directory come back: ``*.csv``, ``model/``.
        storage: How stores are reached.
        server: The service whose runs these are; a URL alone is one without a token. On ``server`` its folder is the
            folder of all runs.
        options: For backends that others add.
    """

    on: str = "local"
    runs: str | None = None
    image: str | None = None
    resources: Resources = msgspec.field(default_factory=Resources)
    env: dict[str, str | Reference] = msgspec.field(default_factory=dict)
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    deadlines: Deadlines = msgspec.field(default_factory=Deadlines)
    storage: StorageOptions = msgspec.field(default_factory=StorageOptions)
    retries: Count = 2
    state: bool = False
    collect: tuple[str, ...] = ()
    kubernetes: KubernetesOptions = msgspec.field(default_factory=KubernetesOptions)
    docker: DockerOptions = msgspec.field(default_factory=DockerOptions)
    build: BuildOptions = msgspec.field(default_factory=BuildOptions)
    server: ServiceOptions | str | None = None
    options: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Give what is short its long form, and refuse what no place can have.

        Raises:
            ValueError: A variable that no process can have, or a deadline that has passed before anything begins.
        """
        if isinstance(self.server, str):
            msgspec.structs.force_setattr(self, "server", ServiceOptions(url=self.server))
        for name, value in self.env.items():
            if not name or {"=", "\0"} & set(name):
                raise ValueError(f"no variable of an environment can be called {name!r}")
            if isinstance(value, str) and "\0" in value:
                raise ValueError(f"the variable {name} cannot hold a NUL")
        for name, seconds in asdict(self.deadlines).items():
            if seconds is not None and (seconds < 0 or (seconds == 0 and name not in MAY_BE_ZERO)):
                raise ValueError(f"deadlines.{name} cannot be {seconds:g} s")

    @property
    def service(self) -> ServiceOptions | None:
        """``server`` in its long form."""
        return self.server if isinstance(self.server, ServiceOptions) else None
