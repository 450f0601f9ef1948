"""Where a run takes place, for its record."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from functools import cache
from importlib import metadata
from typing import Final

from nbstep_runner.contract import Environment

PACKAGES: Final = ("papermill", "nbformat", "ipykernel", "pyzmq")


@cache
def describe_environment() -> Environment:
    """This interpreter, its packages that decide how a notebook runs, and the image that ``NBSTEP_IMAGE`` names."""
    versions = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return Environment(
        python=platform.python_version(),
        nbstep=own_version(),
        platform=platform.platform(),
        image=os.environ.get("NBSTEP_IMAGE"),
        packages=versions,
    )


def own_version() -> str:
    """The version of nbstep that is installed here."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version("nbstep")
    return "unknown"
