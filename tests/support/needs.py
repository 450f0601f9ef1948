"""What a test needs of its machine: where that is missing the test is skipped, or fails where it was promised.

``NBSTEP_TEST_REQUIRE`` promises: names with commas between them, such as ``nginx,kubernetes``; ``all`` is everything,
but for what is named with a minus before it, as in ``all,-kubernetes``.
"""

from __future__ import annotations

import os
from typing import Final, NoReturn

import pytest

VARIABLE: Final = "NBSTEP_TEST_REQUIRE"


def missing(name: str, message: str) -> NoReturn:
    """Something of that name is not here: skip the test, or let it fail where it is required."""
    if required(name, os.environ.get(VARIABLE, "")):
        pytest.fail(f"{message} ({VARIABLE} requires {name})")
    pytest.skip(message)


def required(name: str, promised: str) -> bool:
    """Whether the variable's text promises it."""
    names = {each.strip() for each in promised.split(",")}
    return name in names or ("all" in names and f"-{name}" not in names)
