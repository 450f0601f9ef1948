"""Kernels of other languages, made visible where they are installed."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from support.needs import missing

MODULES = Path(sys.prefix, "kernels/node_modules")
DEBIAN_R = Path("/usr/lib/R/site-library/IRkernel/kernelspec")


def bash(folder: Path) -> dict[str, str]:
    """The environment in which bash_kernel is installed."""
    if find_spec("bash_kernel") is None:
        missing("bash_kernel", "bash_kernel is not installed (pip install 'nbstep[dev]')")
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    spec: dict[str, object] = {"argv": argv, "display_name": "Bash", "language": "bash", "env": {"PS1": "$"}}
    return installed(folder, "bash", spec)


def octave(folder: Path) -> dict[str, str]:
    """The environment in which octave_kernel and Octave are installed."""
    if find_spec("octave_kernel") is None or shutil.which("octave") is None:
        missing(
            "octave_kernel",
            "octave_kernel or Octave is not installed (pip install 'nbstep[dev]', Debian package octave)",
        )
    argv = [sys.executable, "-m", "octave_kernel", "-f", "{connection_file}"]
    return installed(folder, "octave", {"argv": argv, "display_name": "Octave", "language": "octave"})


def r(folder: Path) -> dict[str, str]:
    """The environment in which Debian's R kernel is installed."""
    if not DEBIAN_R.exists():
        missing("r-cran-irkernel", "R's kernel is not installed (Debian package r-cran-irkernel)")
    return installed(folder, "ir", json.loads((DEBIAN_R / "kernel.json").read_text()))


def deno(folder: Path) -> dict[str, str]:
    """The environment in which Deno's kernel is installed."""
    (binary,) = _from_npm("@deno/*/deno")
    argv = [str(binary), "jupyter", "--kernel", "--conn", "{connection_file}"]
    return installed(folder, "deno", {"argv": argv, "display_name": "Deno", "language": "typescript"})


def tslab(folder: Path, *, javascript: bool = False) -> dict[str, str]:
    """The environment in which tslab is installed, as ``tslab`` or ``jslab``; it finds Node's types in the folder."""
    (script,) = _from_npm("tslab/bin/tslab")
    (folder / "node_modules").symlink_to(MODULES)
    argv = ["node", str(script), "kernel", "--config-path", "{connection_file}", *(["--js"] if javascript else [])]
    name, language = ("jslab", "javascript") if javascript else ("tslab", "typescript")
    return installed(folder, name, {"argv": argv, "display_name": name, "language": language})


def _from_npm(pattern: str) -> list[Path]:
    return list(MODULES.glob(pattern)) or missing("javascript", "tslab and Deno are not installed (make kernels)")


def installed(folder: Path, name: str, spec: dict[str, object]) -> dict[str, str]:
    """The environment in which a kernelspec is found by that name."""
    place = folder / "jupyter/kernels" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    return {"JUPYTER_PATH": str(folder / "jupyter")}
