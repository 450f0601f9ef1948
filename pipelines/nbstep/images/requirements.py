"""What a notebook needs besides the runner, as pip reads it.

The format: https://pip.pypa.io/en/stable/reference/requirements-file-format/.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nbstep_runner.errors import BadInputError, InputNotFoundError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

RequirementLines = str | Path | Sequence[str]
"""The path of a requirements file, or its lines."""

_CONTINUED: Final = re.compile(r"\\\r?\n")
_COMMENT: Final = re.compile(r"(^|\s)#.*")
_OPTION: Final = re.compile(r"\s--?[a-z]")
_CREDENTIALS: Final = re.compile(r"//[^/@\s]+@")
_OTHER_FILE: Final = re.compile(r"(-[rce]|--requirement|--constraint|--editable)[\s=]*(?!.*://)")


@dataclass(frozen=True, slots=True)
class Requirements:
    """A requirements file.

    Attributes:
        text: As it is.
        arguments: How ``pip install`` is told of it.
    """

    text: bytes
    arguments: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """What it says, without comments."""
        for line in _CONTINUED.sub(" ", self.text.decode("utf-8-sig")).splitlines():
            if text := _COMMENT.sub("", line).strip():
                yield text


def read_requirements(given: RequirementLines) -> Requirements:
    """Requirements that stand for themselves: wherever they go, no other file has to go with them.

    Raises:
        InputNotFoundError: There is no such file.
        BadInputError: It is not text, or it names other files of this machine.
    """
    requirements = _of_file(Path(given)) if isinstance(given, str | Path) else _of_lines(given)
    try:
        others = [line for line in requirements.lines() if _OTHER_FILE.match(line)]
    except UnicodeDecodeError as error:
        raise BadInputError(f"the requirements are not UTF-8: {error.reason} at byte {error.start}") from None
    if others:
        raise BadInputError(
            f"the requirements name another file, which does not go with them: {_shown(others[0])}",
            hint="Put all of it into one file, as pip-compile or uv pip compile do.",
        )
    return requirements


def check_installed(requirements: Requirements) -> None:
    """Check that this interpreter has what is required. Hashes and other options are passed over.

    Raises:
        BadInputError: Something is missing or has another version, or a line cannot be read.
    """
    problems = [problem for each in _parsed(requirements) for problem in _problems(each)]
    if problems:
        command = shlex.join([sys.executable, "-m", "pip", "install", *requirements.arguments])
        raise BadInputError(
            f"this Python does not have what the notebook requires: {'; '.join(problems)}",
            hint=f"Install it: {_shown(command)}",
        )


def _of_file(path: Path) -> Requirements:
    file = path.expanduser()
    if not file.is_file():
        raise InputNotFoundError(
            f"there is no file of requirements {path}",
            hint="Name a requirements file, or give a list, such as ['pandas==2.2.3'].",
        )
    return Requirements(file.read_bytes(), ("--requirement", str(file)))


def _of_lines(lines: Sequence[str]) -> Requirements:
    if strange := [line for line in lines if not isinstance(line, str)]:
        raise BadInputError(f"a requirement is text, not {strange[0]!r}", hint="Such as 'pandas==2.2.3'.")
    return Requirements("".join(f"{line}\n" for line in lines).encode(), tuple(lines))


def _parsed(requirements: Requirements) -> Iterator[Requirement]:
    from packaging.requirements import InvalidRequirement, Requirement

    for line in requirements.lines():
        if line.startswith("-"):
            continue
        try:
            yield Requirement(_OPTION.split(line)[0])
        except InvalidRequirement as error:
            raise BadInputError(
                f"the requirement {_shown(line)!r} cannot be read: {_shown(str(error).splitlines()[0])}",
                hint="Write a name and its version, such as pandas==2.2.3, or NAME @ URL.",
            ) from None


def _problems(requirement: Requirement, extra: str = "") -> Iterator[str]:
    """What is wrong with an installed package, or with those that its extras ask for."""
    from importlib import metadata

    from packaging.requirements import Requirement

    if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
        return
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        yield f"{requirement.name}{requirement.specifier} is not installed"
        return
    if not requirement.specifier.contains(version, prereleases=True):
        yield f"{requirement.name}{requirement.specifier} is required, and {version} is installed"
    for wanted in sorted(requirement.extras):
        for text in metadata.requires(requirement.name) or ():
            needed = Requirement(text)
            if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
                yield from _problems(needed, wanted)


def _shown(text: str) -> str:
    """The text without the credentials of a URL in it."""
    return _CREDENTIALS.sub("//***@", text)
