"""An absent value that is not ``None``."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Missing(Enum):
    """The type of ``MISSING``."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
