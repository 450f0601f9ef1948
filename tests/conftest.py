"""For all tests: fixtures that folders share, how Hypothesis judges, what counts as slow, which worker runs what."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from servers.docker_fixtures import docker, image, registry, work
from support.browser import browser

__all__ = ["browser", "docker", "image", "registry", "work"]

# Workers and the kernels that they start share few cores: threads of OpenMP and BLAS that wait for each other would
# spend them. Set before anything imports numpy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Hypothesis judges what holds, not how fast a busy machine shows it. `thorough` is what the whole check asks for.
settings.register_profile(
    "nbstep", max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("thorough", settings.get_profile("nbstep"), max_examples=100)
settings.load_profile("nbstep")

HERE: Final = Path(__file__).parent
SLOW: Final = ("faults", "integration")
"""Folders whose tests start servers, containers, other kernels or many runs; a slow file elsewhere has the marker."""
ON_ONE_WORKER: Final = (
    "tests/integration/argo/",
    "tests/integration/docker/",
    "tests/integration/kfp/",
    "tests/integration/kubernetes/",
    "tests/acceptance/test_nbstep_build.py",
)
"""Where a cluster or a Docker daemon is needed: its images are made once, and its tests are not in each other's way."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while tests are imported, which stay: looking through them again and again takes seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, so that ``make test`` on a laptop stays short."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)


class SharedServers(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """``--dist loadfile``, but all files of :data:`ON_ONE_WORKER` go to the same worker."""

    def _split_scope(self, nodeid: str) -> str:
        return ON_ONE_WORKER[0] if nodeid.startswith(ON_ONE_WORKER) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SharedServers | None:
    return SharedServers(config, log) if config.getoption("dist") == "loadfile" else None


class FailuresAtOnce:
    """Prints a failure when it happens, for the run that a time limit ends before its summary."""

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._reporter.write_line(f"\n{report.when} of {report.nodeid}\n{report.longreprtext}")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")  # an xdist worker has none
    if "CI" in os.environ and reporter is not None:
        config.pluginmanager.register(FailuresAtOnce(reporter))
