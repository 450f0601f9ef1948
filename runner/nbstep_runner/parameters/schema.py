"""A signature as JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbstep_runner.parameters.model import Signature


def signature_schema(signature: Signature) -> dict[str, Any]:
    """JSON Schema 2020-12 of a signature's parameters as one object."""
    raise NotImplementedError
