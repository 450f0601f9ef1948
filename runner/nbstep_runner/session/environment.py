"""Where a run takes place, for its record."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

from nbstep_runner.contract import Environment

PACKAGES: Final = ("papermill", "nbformat", "ipykernel", "pyzmq")
POD_VARIABLE: Final = "KFP_POD_NAME"
"""What Kubeflow Pipelines sets in the pods of its steps."""
RETRY_VARIABLE: Final = "KFP_RETRY_INDEX"
"""What it sets too, where a task has retries: how many came before."""
NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@cache
def describe_environment() -> Environment:
    """This interpreter, its packages that decide how a notebook runs, its image (``NBSTEP_IMAGE``) and a step's pod."""
    versions = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return Environment(
        python=platform.python_version(),
        nbstep=own_version(),
        platform=_platform(),
        image=os.environ.get("NBSTEP_IMAGE"),
        packages=versions,
        pod=os.environ.get(POD_VARIABLE),
        namespace=_namespace() if POD_VARIABLE in os.environ else None,
    )


def _platform() -> str:
    """The kernel, the architecture and the C library; ``platform.platform()`` would start ``uname -p`` for them."""
    system = os.uname()
    return "-".join((system.sysname, system.release, system.machine, "with", "".join(platform.libc_ver())))


def described_pod() -> str:
    """Where a step of Kubeflow Pipelines runs, in words; empty elsewhere."""
    environment = describe_environment()
    if environment.pod is None:
        return ""
    retry = os.environ.get(RETRY_VARIABLE)
    times = f", {retry} retries of its engine before it" if retry and retry != "0" else ""
    place = "/".join(part for part in (environment.namespace, environment.pod) if part)
    return f"in pod {place}{times}"


def _namespace() -> str | None:
    with suppress(OSError):
        return NAMESPACE_FILE.read_text().strip()
    return None


def own_version() -> str:
    """The version of nbstep that is installed here."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version("nbstep")
    return "unknown"
