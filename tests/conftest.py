"""For all tests: fixtures that several folders share, how Hypothesis judges, and what counts as slow."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from servers.docker_fixtures import docker, image, registry, work
from support.browser import browser

__all__ = ["browser", "docker", "image", "registry", "work"]

# Hypothesis judges what holds, not how fast a busy machine shows it. `thorough` is what the whole check asks for.
settings.register_profile(
    "nbstep", max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", settings.get_profile("nbstep"), max_examples=100)
settings.load_profile("nbstep")

HERE: Final = Path(__file__).parent
SLOW: Final = ("faults", "integration")
"""Folders whose tests start servers, containers, other kernels or many runs; a slow file elsewhere has the marker."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, so that ``make test`` on a laptop stays short."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)
