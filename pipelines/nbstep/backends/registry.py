"""From names and handles to backends: a table, a module imported when it is used, and entry points for others'."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final, cast

from nbstep.backends.protocol import Backend
from nbstep_runner.errors import UsageError

GROUP: Final = "nbstep.backends"

BACKENDS: Final = {
    "local": "nbstep.backends.local.backend:LocalBackend",
    "docker": "nbstep.backends.docker.backend:DockerBackend",
    "kubernetes": "nbstep.backends.kubernetes.backend:KubernetesBackend",
}
SCHEMES: Final = {"local": "local", "docker": "docker", "k8s": "kubernetes"}


@cache
def backend_named(name: str) -> Backend:
    """The backend that ``on=`` names.

    Raises:
        UsageError: There is none, or its packages are not installed.
    """
    if name in BACKENDS:
        module, _, attribute = BACKENDS[name].partition(":")
        try:
            return cast("Backend", getattr(import_module(module), attribute)())
        except ModuleNotFoundError as error:
            raise UsageError(
                f"the backend {name!r} needs a package that is not installed: {error.name}",
                hint=f"Install it: pip install 'nbstep[{name}]'",
            ) from error
    return _others(name)


def backend_of(handle: str) -> Backend:
    """The backend that a run's string belongs to.

    Raises:
        UsageError: No backend has that scheme.
    """
    scheme = handle.partition("://")[0]
    return backend_named(SCHEMES.get(scheme, scheme))


def names() -> list[str]:
    """Every backend that there is."""
    from importlib.metadata import entry_points

    return [*BACKENDS, *(point.name for point in entry_points(group=GROUP) if point.name not in BACKENDS)]


def _others(name: str) -> Backend:
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        if point.name == name:
            return cast("Backend", point.load()())
    raise UsageError(f"there is no backend {name!r}", hint=f"There are: {', '.join(names())}.")
