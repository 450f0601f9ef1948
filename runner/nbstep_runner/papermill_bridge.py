"""What nbstep takes from papermill; the only module that imports it, and only when first needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbstep_runner.parameters.model import Parameter


def parameterize(
    notebook: dict[str, Any],
    values: Mapping[str, Any],
    *,
    kernel: str | None,
    language: str | None,
    report_mode: bool,
    input_uri: str,
    output_uri: str,
) -> dict[str, Any]:
    """A copy of a version 4 notebook, upgraded to 4.5, with the values injected and papermill's metadata."""
    raise NotImplementedError


def translate(
    values: Mapping[str, Any], *, kernel: str | None, language: str | None, comment: str = "Parameters"
) -> str:
    """The source of the injected cell."""
    raise NotImplementedError


def infer_parameters(
    notebook: Mapping[str, Any], *, kernel: str | None, language: str | None
) -> tuple[Parameter, ...] | None:
    """What papermill's inspection finds in the parameters cell; ``None`` where it cannot inspect the language."""
    raise NotImplementedError


def default_kernel_language(
    notebook: Mapping[str, Any], kernel: str | None, language: str | None
) -> tuple[str | None, str]:
    """The kernel's name (``None``: none is named) and the language of a notebook."""
    raise NotImplementedError
