"""The base of every type that is read from what people write."""

from __future__ import annotations

import msgspec


class ClosedSchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record that takes no field it does not declare."""
