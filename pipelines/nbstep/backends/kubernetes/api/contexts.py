"""Which cluster is asked, and as whom: a context of the kubeconfig, or inside a pod its own cluster."""

from __future__ import annotations

import os
import warnings
from typing import Any, Final

import urllib3
from kubernetes import client, config

from nbstep.errors import ClusterDeniedError
from nbstep.profiles.exposure import CLUSTER_VARIABLE
from nbstep.profiles.kubernetes import KubernetesOptions

IN_CLUSTER: Final = "in-cluster"


def context_named(name: str | None) -> tuple[str, str]:
    """A context's name and its namespace; the current one's if ``None``. Asks no server.

    A pod without a kubeconfig knows its own cluster alone, by the name in :data:`CLUSTER_VARIABLE`.

    Raises:
        ClusterDeniedError: There is no such context.
    """
    try:
        contexts, current = config.list_kube_config_contexts(config_file=_config_file())
    except config.ConfigException as error:
        if name in (None, _own_cluster()) and (namespace := _own_namespace()):
            return _own_cluster(), namespace
        raise ClusterDeniedError(
            f"no cluster is known here: {error}", hint="Set KUBECONFIG, or log in to a cluster."
        ) from error
    for context in [current] if name is None else contexts:
        if name is None or context["name"] == name:
            return context["name"], context["context"].get("namespace", "default")
    known = f"It has: {', '.join(context['name'] for context in contexts)}."
    inside = f" What a pod of the cluster starts is known here by its context, if {CLUSTER_VARIABLE} names that there."
    raise ClusterDeniedError(
        f"the kubeconfig has no context {name!r}", hint=known + (inside if name == IN_CLUSTER else "")
    )


def place_of(options: KubernetesOptions) -> tuple[str, str]:
    """The context and the namespace that a profile names; where it leaves one open, the kubeconfig is asked.

    Raises:
        ClusterDeniedError: There is no such context.
    """
    if options.context is not None and options.namespace is not None:
        return options.context, options.namespace
    context, default = context_named(options.context)
    return context, options.namespace or default


def _own_cluster() -> str:
    return os.environ.get(CLUSTER_VARIABLE) or IN_CLUSTER


def settings_of(context: str) -> Any:
    """How the library reaches the API of a context."""
    settings = client.Configuration()
    settings.retries = False  # ours know which requests may be repeated, and for how long
    context_named(context)
    if context == _own_cluster() and _own_namespace():
        config.load_incluster_config(client_configuration=settings)
    else:
        config.load_kube_config(config_file=_config_file(), context=context, client_configuration=settings)
    if not settings.verify_ssl:  # the kubeconfig's own choice, which need not be repeated with every request
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
    return settings


def _config_file() -> str | None:
    """The environment's kubeconfig as it is now: the library keeps what it was when it was imported."""
    return os.environ.get("KUBECONFIG") or None


def _own_namespace() -> str | None:
    try:
        with open("/var/run/secrets/kubernetes.io/serviceaccount/namespace") as file:  # noqa: PTH123 - as the library does
            return file.read().strip()
    except OSError:
        return None
