"""An image before it is built: everything that will be in it, under the name that follows from that."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nbstep.authoring.notebook import label_of
from nbstep.images.context import TAG_LENGTH, Entry, entry, input_digest, working_files
from nbstep.images.recipe import REQUIREMENTS, Recipe
from nbstep_runner.errors import UsageError

DEFAULT_BASE: Final = "nbstep-runner:slim"
BESIDE: Final = ("requirements.lock", "requirements.txt")
"""Requirements that are used without being named, if they lie beside the notebook; the first that is there."""
_REPOSITORY: Final = re.compile(r"([\w.-]+(:\d+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """What is asked for, as a command line says it.

    Attributes:
        name: The image's name without a tag, such as ``registry/team/train``.
        requirements: The text of a requirements file.
        secrets: Files that only the build can read, by id: ``pip.conf`` and ``ca.pem`` are used.
        network: The build's network, where it is not the builder's default.
    """

    name: str
    base: str = DEFAULT_BASE
    requirements: bytes | None = None
    files: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    kernel: str = "python3"
    platform: str | None = None
    secrets: Mapping[str, Path] = field(default_factory=dict)
    network: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """An image that can be built.

    Attributes:
        image: Its name, with the digest of its inputs as the tag.
        digest: That digest, whole.
        pinned: The base's content is part of the digest, not only its name.
    """

    image: str
    digest: str
    dockerfile: str
    entries: tuple[Entry, ...]
    platform: str | None
    secrets: Mapping[str, Path]
    network: str | None
    pinned: bool

    def describe(self) -> str:
        """The Dockerfile and the context's list, as a Dockerfile that can be built."""
        listed = (f"#   {each.path}  {each.size} bytes  sha256:{each.sha256}" for each in self.entries)
        return "\n".join([f"# image: {self.image}", self.dockerfile, "# context:", *listed, ""])


def plan(wanted: ImageRequest, identify: Callable[[str], str | None]) -> BuildPlan:
    """Read the inputs and name the image.

    Args:
        wanted: What is asked for.
        identify: The digest of the base's content, by the base's name; ``None`` where nobody knows it.

    Raises:
        InputNotFoundError, BadInputError, UsageError: An input is missing, or is not what it should be.
    """
    entries = working_files(wanted.files)
    recipe = Recipe(
        base=wanted.base,
        requirements=wanted.requirements is not None,
        hashed=b"--hash=" in (wanted.requirements or b""),
        apt=tuple(sorted(set(wanted.apt))),
        kernel=wanted.kernel,
        files=bool(entries),
    )
    if wanted.requirements is not None:
        entries = (entry(REQUIREMENTS, wanted.requirements), *entries)
    _, _, pin = wanted.base.partition("@")
    content = pin or identify(wanted.base)
    dockerfile = recipe.dockerfile()
    digest = input_digest(dockerfile, content or wanted.base, wanted.platform, entries)
    return BuildPlan(
        image=f"{wanted.name}:{digest[:TAG_LENGTH]}",
        digest=digest,
        dockerfile=dockerfile,
        entries=entries,
        platform=wanted.platform,
        secrets=wanted.secrets,
        network=wanted.network,
        pinned=content is not None,
    )


def requirements_beside(notebook: Path) -> Path | None:
    """The requirements that lie beside a notebook."""
    return next((path for name in BESIDE if (path := notebook.parent / name).is_file()), None)


def repository_for(notebook: str | Path) -> str:
    """The name, without a tag, of the images of a notebook for which no other is given."""
    return f"nbstep-{label_of(str(notebook), 200, 'image')}"


def checked_repository(name: str) -> str:
    """The same name, once it is known to be one without a tag or a digest: https://github.com/distribution/reference.

    Raises:
        UsageError: It is not.
    """
    if not _REPOSITORY.fullmatch(name):
        raise UsageError(
            f"{name!r} is not an image's name without a tag", hint="Such as train, or registry:5000/team/train."
        )
    return name


def secret_files(paths: Mapping[str, str]) -> dict[str, Path]:
    """The files of a build's secrets, by id.

    Raises:
        UsageError: One is no file.
    """
    files = {name: Path(path).expanduser().absolute() for name, path in paths.items()}
    for name, file in files.items():
        if not file.is_file():
            raise UsageError(f"the build secret {name} is no file: {file}", hint="Name a file that is there.")
    return files
