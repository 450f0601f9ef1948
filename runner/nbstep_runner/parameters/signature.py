"""The signature of a notebook, from its cell tagged ``parameters``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbstep_runner.parameters.model import Signature


def read_signature(notebook: Mapping[str, Any], *, language: str | None = None, kernel: str | None = None) -> Signature:
    """What the notebook's parameters cell declares; never raises, whatever the cell holds."""
    raise NotImplementedError
