"""What builds images on this machine: docker, podman or buildah, by their command lines.

All three read the same Dockerfile and take nearly the same options; the table says where they differ.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from nbstep.images.context import write_context
from nbstep.images.plan import BuildPlan
from nbstep_runner.errors import BadInputError, StorageUnavailableError, UsageError

LABEL: Final = "nbstep.inputs"
LOOPBACK: Final = ("localhost:", "127.")
NAMES: Final = ("docker", "podman", "buildah")


class _Described(msgspec.Struct):
    """What ``inspect`` says of an image, under the names that all of them use."""

    id: str = msgspec.field(name="Id", default="")
    digests: list[str] | None = msgspec.field(name="RepoDigests", default=None)


@dataclass(frozen=True, slots=True)
class Builder:
    """One of them.

    Attributes:
        name: ``docker``, ``podman`` or ``buildah``.
        binary: Its path.
        buildx: Docker has its newer builder, which writes attestations.
        sbom: The builder can add a bill of materials to what it builds.
    """

    name: str
    binary: str
    buildx: bool = False
    sbom: bool = False

    def identify(self, image: str) -> str | None:
        """The digest of an image that is here; of its manifest where that is known, so that all builders agree."""
        command = ["inspect", "--type=image"] if self.name == "buildah" else ["image", "inspect"]
        done = self._quietly(*command, image)
        if done.returncode:
            return None
        if self.name == "buildah":
            found: str = msgspec.json.decode(done.stdout)["FromImageDigest"]
            return found
        (described,) = msgspec.json.decode(done.stdout, type=list[_Described])
        return next((each.partition("@")[2] for each in described.digests or ()), described.id)

    def provide(self, image: str, *, pull: bool = False) -> None:
        """Pull an image that is not here, or in any case if asked to.

        Raises:
            BadInputError: It cannot be had.
        """
        if (pull or self.identify(image) is None) and self._shown("pull", image):
            raise BadInputError(
                f"{self.name} cannot get the base image {image}",
                hint="Build it first, or name another; docs/images.md says how.",
            )

    def has(self, image: str) -> bool:
        """Whether an image of that name is here."""
        return self.identify(image) is not None

    def published(self, image: str) -> bool:
        """Whether its registry has an image of that name; false where the builder cannot ask."""
        if self.name == "buildah":
            return False
        if self.name == "podman":
            return self._quietly("manifest", "inspect", f"docker://{image}").returncode == 0
        plain = ["--insecure"] if image.startswith(LOOPBACK) else []  # the daemon speaks HTTP to these, too
        return self._quietly("manifest", "inspect", *plain, image).returncode == 0

    def build(self, plan: BuildPlan, *, push: bool) -> None:
        """Build an image, and publish it if asked to. The builder's own words go to stderr.

        Raises:
            BadInputError: It cannot be built.
            StorageUnavailableError: The registry does not take it.
        """
        with tempfile.TemporaryDirectory(prefix="nbstep-build-") as folder:
            write_context(Path(folder), plan.dockerfile, plan.entries)
            if self._shown(*self.arguments(plan, folder, push=push)):
                raise BadInputError(
                    f"{self.name} could not build {plan.image}", hint="Its words above say which step failed."
                )
        if push and not self.buildx:
            self.push(plan.image)

    def push(self, image: str) -> None:
        """Publish an image that is here.

        Raises:
            StorageUnavailableError: The registry does not take it.
        """
        if self._shown("push", image):
            raise StorageUnavailableError(
                f"{self.name} could not push {image}", hint=f"Its words above say why; {self.name} login may be needed."
            )

    def arguments(self, plan: BuildPlan, folder: str, *, push: bool) -> list[str]:
        """The builder's command line for a plan whose context lies in that folder."""
        return [*(["buildx"] if self.buildx else []), "build", *self._options(plan, push=push), folder]

    def _options(self, plan: BuildPlan, *, push: bool) -> Iterator[str]:
        yield f"--tag={plan.image}"
        yield f"--label={LABEL}=sha256:{plan.digest}"
        if plan.platform:
            yield f"--platform={plan.platform}"
        if plan.network:
            yield f"--network={plan.network}"
        for name, path in plan.secrets.items():
            yield f"--secret=id={name},src={path}"
        if self.buildx:
            yield "--push" if push else "--load"
            if push:  # what stays here can hold no attestations
                yield from ("--provenance=mode=max", "--sbom=true")
        elif self.sbom and push:
            yield "--sbom=spdx"

    def _shown(self, *arguments: str) -> int:
        """Run it with its words on stderr, since stdout is for the answer; in Jupyter that is no file."""
        command = [self.binary, *arguments]
        if (stream := sys.stderr) is sys.__stderr__ and stream is not None:
            return subprocess.run(command, env=_environment(), stdout=stream.fileno(), check=False).returncode  # noqa: S603 - a builder that the user chose; no shell
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(command, env=_environment(), errors="replace", **options) as process:  # noqa: S603 - as above
            for line in process.stdout or ():
                sys.stderr.write(line)
        return process.returncode

    def _quietly(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([self.binary, *arguments], env=_environment(), capture_output=True, check=False)  # noqa: S603 - as above


def build_if_absent(builder: Builder, plan: BuildPlan, *, push: bool, force: bool = False) -> bool:
    """Build and publish what is not there yet, or all of it if forced to; whether anything had to be built.

    Raises:
        BadInputError: It cannot be built.
        StorageUnavailableError: The registry does not take it.
    """
    if not force and push and builder.published(plan.image):
        return False
    if not force and builder.has(plan.image):
        if push:
            builder.push(plan.image)
        return False
    builder.build(plan, push=push)
    return True


def builder(name: str | None = None) -> Builder:
    """The builder of that name, or the first that is installed.

    Raises:
        UsageError: There is none.
    """
    for candidate in NAMES if name is None else (name,):
        binary = shutil.which(candidate)
        if binary:
            return _described(candidate, binary)
    raise UsageError(
        f"{name or 'no builder of images'} is not installed" if name else "no builder of images is installed",
        hint=f"Install one of {', '.join(NAMES)}; or let a cluster build: nbstep build --builder job.",
    )


def _described(name: str, binary: str) -> Builder:
    if name == "docker":
        return Builder(name, binary, buildx=_says([binary, "buildx", "version"], ""))
    return Builder(name, binary, sbom=_says([binary, "build", "--help"], "--sbom"))


def _says(command: Sequence[str], text: str) -> bool:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - as above
    return done.returncode == 0 and text in done.stdout


def _environment() -> dict[str, str]:
    return os.environ | {"DOCKER_BUILDKIT": "1"}
