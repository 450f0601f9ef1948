"""Kernels of other languages, made visible where they are installed."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from support.needs import missing

DEBIAN_R = Path("/usr/lib/R/site-library/IRkernel/kernelspec")


def bash(folder: Path) -> dict[str, str]:
    """The environment in which bash_kernel is installed."""
    if find_spec("bash_kernel") is None:
        missing("bash_kernel", "bash_kernel is not installed (pip install 'nbstep[dev]')")
    argv = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    spec: dict[str, object] = {"argv": argv, "display_name": "Bash", "language": "bash", "env": {"PS1": "$"}}
    return installed(folder, "bash", spec)


def r(folder: Path) -> dict[str, str]:
    """The environment in which Debian's R kernel is installed."""
    if not DEBIAN_R.exists():
        missing("r-cran-irkernel", "R's kernel is not installed (Debian package r-cran-irkernel)")
    return installed(folder, "ir", json.loads((DEBIAN_R / "kernel.json").read_text()))


def installed(folder: Path, name: str, spec: dict[str, object]) -> dict[str, str]:
    """The environment in which a kernelspec is found by that name."""
    place = folder / "jupyter/kernels" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "kernel.json").write_text(json.dumps(spec))
    return {"JUPYTER_PATH": str(folder / "jupyter")}
