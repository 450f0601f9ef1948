"""What an image holds besides the runner, as the Dockerfile that says so: pure text from plain data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nbstep_runner.errors import UsageError

FILES: Final = "files"
"""The folder of the context that becomes the working directory."""
REQUIREMENTS: Final = "requirements.txt"
"""The requirements' name in the context, whatever it is outside."""
WORKSPACE: Final = "/workspace"
USER: Final = "10001:10001"
SECRETS: Final = ("pip.conf", "ca.pem")
"""Build secrets that every RUN of pip can use: a configuration, and a CA that it names as /run/secrets/ca.pem."""
CACHE: Final = "/var/cache/nbstep-pip"
_IMAGE: Final = re.compile(r"[\w][\w.\-/:]*(@sha256:[0-9a-f]{64})?", re.ASCII)
_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_RUN_PIP: Final = (
    f"RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem "
    f"--mount=type=cache,target={CACHE} \\\n    pip install --disable-pip-version-check --root-user-action=ignore "
    f"--cache-dir={CACHE} "
)


@dataclass(frozen=True, slots=True)
class Kernel:
    """How a kernel gets into an image.

    Attributes:
        apt: Debian packages.
        pip: What pip installs.
        then: A command that registers it.
    """

    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    then: tuple[str, ...] = ()


KERNELS: Final = {
    "python3": Kernel(),
    "bash": Kernel(pip=("bash-kernel>=0.10",), then=("python", "-m", "bash_kernel.install", "--sys-prefix")),
    "ir": Kernel(apt=("r-cran-irkernel",)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An image for a notebook.

    Attributes:
        base: The image that it is built on, which has the runner.
        requirements: The context has a requirements file.
        hashed: It pins everything by hash.
        apt: Debian packages.
        kernel: A kernel besides the base's, by name.
        files: There are files for the working directory.
    """

    base: str
    requirements: bool = False
    hashed: bool = False
    apt: tuple[str, ...] = ()
    kernel: str = "python3"
    files: bool = False

    def __post_init__(self) -> None:
        if not _IMAGE.fullmatch(self.base):
            raise UsageError(f"{self.base!r} is not the name of an image")
        if wrong := [name for name in self.apt if not _PACKAGE.fullmatch(name)]:
            raise UsageError(f"{wrong[0]!r} is not the name of a Debian package")
        if self.kernel not in KERNELS:
            raise UsageError(
                f"nbstep does not know how to install the kernel {self.kernel!r}",
                hint=f"It knows {', '.join(KERNELS)}. Build another one into your own base image.",
            )

    def dockerfile(self) -> str:
        """The Dockerfile: what changes rarely comes first."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        kernel = KERNELS[self.kernel]
        yield f"FROM {self.base}"
        yield "USER 0:0"
        if packages := (*kernel.apt, *self.apt):
            yield (
                "RUN apt-get update && apt-get install --yes --no-install-recommends "
                f"{' '.join(packages)} && rm -rf /var/lib/apt/lists/*"
            )
        if kernel.pip:
            yield _RUN_PIP + " ".join(f"'{name}'" for name in kernel.pip) + f" && {' '.join(kernel.then)}"
        if self.requirements:
            yield f"COPY {REQUIREMENTS} /opt/nbstep/{REQUIREMENTS}"
            hashes = "--require-hashes " if self.hashed else ""
            yield f"{_RUN_PIP}{hashes}--requirement /opt/nbstep/{REQUIREMENTS}"
        if self.files:
            yield f"COPY --chown={USER} {FILES}/ {WORKSPACE}/"
            yield f"ENV PYTHONPATH={WORKSPACE}"
            yield f'VOLUME ["{WORKSPACE}"]'
            yield f"WORKDIR {WORKSPACE}"
        yield f"USER {USER}"
