"""What is told of a kernel that did not start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nbstep_runner.errors import KernelUnavailableError
from nbstep_runner.kernel.kernel import Received
from nbstep_runner.kernel.start import LONGEST_CONTEXT, LONGEST_SAID, await_ready
from nbstep_runner.masking import Masker

SECRET = "s3cret-of-the-kernel"  # noqa: S105 - of this test alone


def dead(stderr: str) -> Any:
    """A kernel that has written this and is gone."""
    process = SimpleNamespace(
        spec=SimpleNamespace(name="odd"), exit_status=1, stderr_tail=stderr, drain_stderr=lambda: False
    )
    return SimpleNamespace(process=process, request=lambda *_: "", wait=lambda _: Received(died=True))


@pytest.mark.parametrize("kept", [LONGEST_CONTEXT, LONGEST_SAID], ids=["context", "message"])
def test_the_end_of_a_long_line_is_told_and_no_half_of_a_secret(kept: int) -> None:
    cut_within = f"{'-' * 9000}{SECRET}{'-' * (kept - len(SECRET) // 2)}"
    with pytest.raises(KernelUnavailableError) as told:
        await_ready(dead(cut_within), 60, lambda: None, Masker((SECRET,)).mask)
    error = told.value
    assert error.context is not None
    assert len(error.context) == LONGEST_CONTEXT
    assert error.message.endswith("-" * (LONGEST_SAID - 20))
    assert len(error.message) < LONGEST_SAID + 100
    assert SECRET[-8:] not in error.message + error.context
