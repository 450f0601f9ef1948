"""For all tests: fixtures that several folders share, how Hypothesis judges, and what counts as slow.

Hypothesis judges what holds, not how fast a busy machine shows it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from servers.docker_fixtures import docker, image, registry, work

__all__ = ["docker", "image", "registry", "work"]

settings.register_profile("nbstep", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("nbstep")

HERE: Final = Path(__file__).parent
SLOW: Final = (
    "acceptance/test_examples.py",
    "acceptance/test_flights.py",
    "acceptance/test_nbstep_build.py",
    "acceptance/test_nbstep_compile.py",
    "acceptance/test_nbstep_launcher.py",
    "acceptance/test_nbstep_submit.py",
    "acceptance/test_nbstep_sweep.py",
    "acceptance/test_packaging.py",
    "acceptance/test_runner_gs.py",
    "acceptance/test_runner_http.py",
    "acceptance/test_runner_kernels.py",
    "acceptance/test_runner_s3.py",
    "acceptance/test_runner_sftp.py",
    "faults",
    "integration",
)
"""Folders and files whose tests start servers, containers, environments, other kernels or many runs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, so that ``make test`` on a laptop stays short."""
    for item in items:
        if item.path.relative_to(HERE).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)
