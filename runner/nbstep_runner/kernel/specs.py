"""Which kernel to start: kernelspecs as Jupyter finds them, read without importing jupyter_client.

The search path and the layout of ``kernel.json`` are those of the Jupyter documentation ("Making kernels for
Jupyter", "Kernel specs"); importing ``jupyter_client`` for them would cost 150 ms before the kernel can start.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Annotated, Any

import msgspec

from nbstep_runner.errors import KernelUnavailableError

PYTHON = "python3"
NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}")
"""What jupyter_client lets a kernel be called; no name of a folder is longer."""
SHOWN_CHARACTERS = 60
_Word = Annotated[str, msgspec.Meta(pattern=r"^[^\0]*$")]
"""What a process can be given as an argument."""
_Variable = Annotated[str, msgspec.Meta(pattern=r"^[^\0=]+$")]


class _KernelJson(msgspec.Struct):
    """What ``kernel.json`` says, where a process can be made of it; what else it holds is passed over."""

    argv: Annotated[list[_Word], msgspec.Meta(min_length=1)]
    language: Any = ""
    display_name: Any = ""
    interrupt_mode: str = "signal"
    env: dict[_Variable, _Word | int | float] | None = None
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSpec:
    """How to launch a kernel.

    Attributes:
        argv: The command; ``{connection_file}``, ``{resource_dir}`` and ``{prefix}`` are replaced at launch.
        interrupt_mode: ``signal`` (SIGINT) or ``message`` (``interrupt_request`` on the control channel).
    """

    name: str
    argv: tuple[str, ...]
    language: str
    display_name: str = ""
    resource_dir: str = ""
    interrupt_mode: str = "signal"
    env: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def runs_python(self) -> bool:
        """Whether the kernel is a Python process: such kernels are built on ipykernel and share its transports."""
        return Path(self.argv[0]).name.startswith("python")

    def environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """This process's variables and the kernel's, in which ``${NAME}`` is replaced by the former, as in Jupyter."""
        return {**own, **_home(), **{name: Template(value).safe_substitute(own) for name, value in self.env.items()}}

    def name_in(self, metadata: dict[str, Any]) -> None:
        """Write into a notebook's metadata that this is its kernel; what they said of this very one is kept."""
        if metadata.get("kernelspec", {}).get("name") != self.name:
            display_name = self.display_name or self.name
            metadata["kernelspec"] = {"name": self.name, "display_name": display_name, "language": self.language}

    @property
    def is_ipykernel(self) -> bool:
        """Whether the kernel is ipykernel itself, started in the way that its own kernelspec starts it."""
        return self.runs_python and self.argv[-4:] == ("-m", "ipykernel_launcher", "-f", "{connection_file}")


def find(name: str) -> KernelSpec:
    """The kernelspec of that name, as jupyter_client finds it: in any case, and ``python`` is the native kernel.

    Raises:
        KernelUnavailableError: There is none, or its ``kernel.json`` cannot be read.
    """
    if not NAME.fullmatch(name):
        raise KernelUnavailableError(
            f"{name[:SHOWN_CHARACTERS]!a} is no name of a kernel",
            hint=f"Installed kernels: {', '.join(sorted(spec.name for spec in installed()))}.",
        )
    name = _native(name)
    if folder := _folder_of(name):
        return _read(folder, folder.name)
    if name == PYTHON:
        return _own_python()
    from difflib import get_close_matches

    names = sorted(spec.name for spec in installed())
    close = get_close_matches(name, names, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise KernelUnavailableError(
        f"there is no kernel named {name!r}", hint=f"{hint}Installed kernels: {', '.join(names)}."
    )


def _native(name: str) -> str:
    """jupyter_client's ``KernelManager`` takes ``python`` for the kernel that Jupyter itself brings."""
    return PYTHON if name == "python" else name


def _folder_of(name: str) -> Path | None:
    """The first kernelspec of that name; one that is written in the same case is found without a listing."""
    for folder in _folders():
        if (folder / name / "kernel.json").is_file():
            return folder / name
    folders = (path.parent for folder in _folders() for path in sorted(folder.glob("*/kernel.json")))
    return next((folder for folder in folders if folder.name.lower() == name.lower()), None)


def guess(name: str | None) -> KernelSpec | None:
    """The kernelspec that a name probably means: this environment's own, found without Jupyter's search path.

    A user may have another one of the same name in a place that goes before; :func:`choose` finds it.
    """
    name = _native(name or PYTHON)
    if not NAME.fullmatch(name):
        return None
    try:
        return _read(Path(sys.prefix, "share", "jupyter", "kernels", name), name)
    except KernelUnavailableError:
        return _own_python() if name == PYTHON else None


def choose(name: str | None, language: str | None) -> KernelSpec:
    """The kernel to use: by name, else the first one of the language, else Python.

    Raises:
        KernelUnavailableError: No kernel fits.
    """
    if name:
        return find(name)
    if not language or language.lower() == "python":
        return find(PYTHON)
    for spec in installed():
        if spec.language.lower() == language.lower():
            return spec
    raise KernelUnavailableError(f"no installed kernel runs the language {language!r}")


def installed() -> Iterator[KernelSpec]:
    """Every kernel that can be named, the first of a name winning, broken ones left out."""
    seen: set[str] = set()
    for folder in _folders():
        for path in sorted(folder.glob("*/kernel.json")):
            name = path.parent.name
            if name in seen:
                continue
            seen.add(name)
            try:
                yield _read(path.parent, name)
            except KernelUnavailableError:
                continue
    if PYTHON not in seen:
        yield _own_python()


def _home() -> dict[str, str]:
    """The variable that a user lacks who has no home: Jupyter ends without one. Containers' runtimes set it so too."""
    return {"HOME": "/"} if os.path.expanduser("~") == "~" else {}  # noqa: PTH111 - Path.home raises


def _folders() -> list[Path]:
    from jupyter_core.paths import jupyter_path

    os.environ.update(_home())
    return [Path(folder) for folder in jupyter_path("kernels")]


def _read(folder: Path, name: str) -> KernelSpec:
    try:
        data = msgspec.json.decode((folder / "kernel.json").read_bytes(), type=_KernelJson)
    except (OSError, ValueError, RecursionError) as error:
        raise KernelUnavailableError(f"the kernelspec in {folder} cannot be read: {error}") from error
    return KernelSpec(
        name=name,
        argv=tuple(data.argv),
        language=str(data.language),
        display_name=str(data.display_name or name),
        resource_dir=str(folder),
        interrupt_mode=data.interrupt_mode,
        env={key: str(value) for key, value in (data.env or {}).items()},
        metadata=data.metadata or {},
    )


def _own_python() -> KernelSpec:
    return KernelSpec(
        name=PYTHON,
        argv=(sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"),
        language="python",
        display_name="Python 3",
    )
