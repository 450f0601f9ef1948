"""The parameters of one run, ready to be given to the notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import jsonable
from nbstep_runner.parameters.secret import secrets_in


@dataclass(frozen=True, slots=True)
class Resolved:
    """The values to inject, by name: only what was given, never the notebook's defaults.

    Attributes:
        values: Of JSON's types, and where a declared type asks for it also tuples, dates and ``PathText``.
            Secrets, also those inside lists and mappings, are ``SecretReference`` objects.
        warnings: What whoever started the run should know.
    """

    values: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The values as strict JSON holds them, for records and metadata; secrets as their references."""
        return {name: jsonable.jsonable(value) for name, value in self.values.items()}

    def digest(self) -> str:
        """Names the values: ``sha256:…``, the same for the same values in any order of names."""
        return jsonable.digest(self.values)

    def secret_values(self) -> tuple[str, ...]:
        """The secrets themselves, read now, for masking.

        Raises:
            BadInputError: A secret cannot be read; the message names the parameters and the places, never a value.
        """
        found: list[str] = []
        problems: list[str] = []
        for name, value in self.values.items():
            for secret in secrets_in(value):
                try:
                    found.append(secret.value())
                except BadInputError as error:
                    problems.append(f"{name}: {error.message}")
        if problems:
            raise BadInputError("; ".join(problems), hint="Give the secret to the process that runs the notebook.")
        return tuple(dict.fromkeys(found))
