"""YAML and JSON of parameters, read safely."""

from __future__ import annotations

from typing import Any


def load_yaml(data: bytes, *, where: str) -> dict[str, Any]:
    """The mapping that a YAML or JSON document holds."""
    raise NotImplementedError
