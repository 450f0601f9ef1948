"""Standard input, output and error, which a caller may have closed."""

from __future__ import annotations

import os
import sys


def open_standard_streams() -> None:
    """Open those that the caller has closed on ``/dev/null``: else the next files opened would take their places."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - the standard library's signature
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
