"""The kinds of value that a parameter can take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """Takes anything."""


ANY = Kind()
