"""The parameters of one run, ready to be given to the notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Resolved:
    """The values to inject, by name.

    Attributes:
        values: Secrets, also those inside lists and mappings, are ``SecretReference`` objects.
        warnings: What whoever started the run should know.
    """

    values: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The values as strict JSON holds them, for records and metadata."""
        raise NotImplementedError

    def digest(self) -> str:
        """Names the values: ``sha256:…``, the same for the same values in any order of names."""
        raise NotImplementedError

    def secret_values(self) -> tuple[str, ...]:
        """The secrets themselves, read now, for masking."""
        raise NotImplementedError
