"""A run as the request that creates its container: pure, and as restricted as a pod of a careful cluster.

The request is that of the Engine's API, ``POST /containers/create``: https://docs.docker.com/reference/api/engine/.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from nbstep.backends.arguments import arguments
from nbstep.backends.protocol import Located, Submission
from nbstep.profiles import Profile, Resources
from nbstep.profiles.quantities import quantity
from nbstep_runner.contract import encode
from nbstep_runner.errors import UsageError

RUN_LABEL: Final = "nbstep.run"
SPARE_SECONDS: Final = 5


def request(submission: Submission) -> dict[str, Any]:
    """The container of a submitted run.

    Raises:
        UsageError: The profile names no image, or something that a container cannot have.
    """
    spec, profile = submission.spec, submission.profile
    located = Located(
        run_id=spec.run_id, spec_uri=submission.spec_uri, output_uri=spec.output_uri, storage=spec.storage
    )
    return container(
        profile,
        arguments(spec, submission.spec_uri, None if submission.workers is None else "0/1"),
        writable=[*_writable(submission), *_folder(spec.working_directory)],
        readable=[path for path in (spec.storage.known_hosts, spec.storage.identity_file) if path],
        labels={**profile.labels, RUN_LABEL: encode(located).decode()},
        grace=spec.deadlines.grace,
    )


def container(  # noqa: PLR0913 - the parts of one request, by name
    profile: Profile,
    command: Sequence[str],
    *,
    writable: Iterable[str],
    readable: Iterable[str] = (),
    labels: dict[str, str],
    grace: float,
    folder: str | None = None,
) -> dict[str, Any]:
    """A container that runs the image's own entry point with these arguments.

    Args:
        profile: Image, environment, resources, network, user.
        command: The arguments of that entry point.
        writable: Folders of this machine that it has at the same paths.
        readable: Files and folders that it can only read.
        labels: Its labels.
        grace: Seconds that the runner takes to save when it is asked to end.
        folder: Its working directory; the image's own if ``None``.
    """
    if not profile.image:
        raise UsageError("a container needs an image", hint="Name one with image=, or in the profile.")
    binds = [*_binds(writable, read_only=False), *_binds(readable, read_only=True)]
    user = profile.docker.user or (f"{os.getuid()}:{os.getgid()}" if binds else None)
    return _without_empty(
        {
            "Image": profile.image,
            "Cmd": list(command),
            "User": user,
            "WorkingDir": folder,
            "Env": [f"{name}={value}" for name, value in _environment(profile).items()],
            "Labels": labels,
            "StopTimeout": math.ceil(grace) + SPARE_SECONDS,
            "HostConfig": {
                "Mounts": binds,
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "NetworkMode": profile.docker.network,
                "LogConfig": {"Type": "json-file"},  # whatever the daemon's default is, this one can be read again
                **_limits(profile.resources),
            },
        }
    )


def _limits(resources: Resources) -> dict[str, Any]:
    """Memory without swap, so that a run never ends later than on a cluster; CPU where it is limited."""
    if resources.disk is not None:
        raise UsageError("a container's disk cannot be limited", hint="Leave resources.disk out for docker.")
    memory = int(quantity(resources.memory)) if resources.memory else None
    cpu = resources.cpu_limit or resources.cpu
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "NanoCpus": int(quantity(cpu) * 10**9) if cpu else None,
        "ShmSize": int(quantity(resources.shared_memory)) if resources.shared_memory else None,
        "DeviceRequests": [{"Count": resources.gpu, "Capabilities": [["gpu"]]}] if resources.gpu else None,
    }


def _environment(profile: Profile) -> dict[str, str]:
    values = {name: value for name, value in profile.env.items() if isinstance(value, str)}
    if references := profile.env.keys() - values.keys():
        raise UsageError(
            f"a container cannot read {min(references)} from a cluster's secret",
            hint="Give its value, or a file that the run can read.",
        )
    return {"NBSTEP_IMAGE": str(profile.image), **values}


def _writable(submission: Submission) -> list[str]:
    """The folder of a run that lies on this machine; of a sweep that of all its runs, in which its own lies."""
    if "://" in submission.spec_uri:
        return []
    own = Path(submission.spec.output_uri).parent  # of an endpoint, in which each revision's spec lies
    return [str(own if submission.workers is None else own.parent)]


def _folder(named: str | None) -> list[str]:
    """A working directory that lies on this machine; any other is the image's."""
    return [named] if named and Path(named).is_absolute() and Path(named).is_dir() else []


def _binds(paths: Iterable[str], *, read_only: bool) -> Iterator[dict[str, Any]]:
    for path in dict.fromkeys(paths):
        yield {"Type": "bind", "Source": path, "Target": path, "ReadOnly": read_only}


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    """The mapping, at every depth, without what says nothing."""
    cleaned = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: value for key, value in cleaned.items() if value not in (None, [], {})}
