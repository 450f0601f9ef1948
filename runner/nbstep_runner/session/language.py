"""The language that a notebook's cells are in, which decides how parameters are read and written."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from nbstep_runner.contract import RunSpec
from nbstep_runner.errors import KernelUnavailableError
from nbstep_runner.kernel import specs


def language_of(spec: RunSpec, notebook: dict[str, Any]) -> str | None:
    """What the caller says, by its name or by the kernel's; else that of the notebook's kernel; else what it says.

    The kernel that runs the cells decides before what another one may have left in the metadata. ``None``: Nobody says.
    """
    metadata = _mapping(notebook.get("metadata"))
    kernelspec = _mapping(metadata.get("kernelspec"))
    said = _text(_mapping(metadata.get("language_info")).get("name")) or _text(kernelspec.get("language"))
    return spec.language or _language_of(spec.kernel) or _language_of(_text(kernelspec.get("name"))) or said


def _language_of(kernel: str | None) -> str | None:
    if kernel:
        with suppress(KernelUnavailableError):
            return specs.find(kernel).language or None
    return None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    """Text that says something."""
    return value if isinstance(value, str) and value else None
