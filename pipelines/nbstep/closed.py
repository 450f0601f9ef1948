"""The base of every type that is read from what people write: frozen, and closed to unknown fields."""

from __future__ import annotations

import msgspec


class Closed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record whose unknown fields are errors."""
