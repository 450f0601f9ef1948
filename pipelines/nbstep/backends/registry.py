"""From names and handles to backends: a table, a module imported when it is used, and entry points for others'."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from nbstep.backends.protocol import Backend
from nbstep.errors import missing_package
from nbstep_runner.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "nbstep.backends"


class _Own(NamedTuple):
    """A backend of ours: the scheme of its handles, where its class is, and the extra that installs what it needs."""

    scheme: str
    place: str
    extra: str = ""


BACKENDS: Final = {
    "local": _Own("local", "local.backend:LocalBackend"),
    "docker": _Own("docker", "docker.backend:DockerBackend", "docker"),
    "kubernetes": _Own("k8s", "kubernetes.backend:KubernetesBackend", "kubernetes"),
    "server": _Own("server", "server.backend:ServerBackend", "http"),
    "memory": _Own("memory", "memory:MemoryBackend"),
}
SCHEMES: Final = {own.scheme: name for name, own in BACKENDS.items()}


@cache
def backend_named(name: str) -> Backend:
    """The backend that ``on=`` names.

    Raises:
        UsageError: There is none, or its packages are not installed.
    """
    if name in BACKENDS:
        module, _, attribute = BACKENDS[name].place.partition(":")
        try:
            return cast("Backend", getattr(import_module(f"nbstep.backends.{module}"), attribute)())
        except ModuleNotFoundError as error:
            raise missing_package(f"the backend {name!r}", error, BACKENDS[name].extra) from error
    for point in _entry_points():
        if point.name == name:
            return cast("Backend", point.load()())
    raise UsageError(f"there is no backend {name!r}", hint=f"There are: {', '.join(names())}.")


def backend_of(handle: str) -> Backend:
    """The backend that a run's string belongs to.

    Raises:
        UsageError: No backend has that scheme.
    """
    scheme = handle.partition("://")[0]
    if scheme in SCHEMES:
        return backend_named(SCHEMES[scheme])
    for point in _entry_points():
        backend = backend_named(point.name)
        if backend.scheme == scheme:
            return backend
    raise UsageError(f"no backend knows runs such as {handle}", hint=f"There are the backends {', '.join(names())}.")


def runs_here(name: str) -> bool:
    """Whether runs of the backend that ``on=`` names are processes of this machine.

    Raises:
        UsageError: As of :func:`backend_named`.
    """
    return bool(getattr(backend_named(name), "here", False))


def names() -> list[str]:
    """Every backend that there is."""
    return [*BACKENDS, *(point.name for point in _entry_points())]


def _entry_points() -> list[EntryPoint]:
    """Those of other distributions; none takes the name of one of ours."""
    from importlib.metadata import entry_points

    return [point for point in entry_points(group=GROUP) if point.name not in BACKENDS]
