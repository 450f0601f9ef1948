"""What a record says of where its run took place."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

from nbstep_runner.session.environment import describe_environment

if TYPE_CHECKING:
    import pytest


def test_no_process_is_started_to_describe_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a process is started")

    monkeypatch.setattr(subprocess, "Popen", fail)
    described = describe_environment.__wrapped__().platform or ""
    assert described.startswith(f"Linux-{os.uname().release}-{os.uname().machine}-with")
