"""How many processors there are for this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from nbstep_runner.kernel import cgroups


def available_processors(root: Path = cgroups.ROOT) -> float:
    """The processors that this process may run on, or fewer where the quota of its cgroup leaves less of their time.

    Args:
        root: Where ``/`` is; for tests.
    """
    return min([len(os.sched_getaffinity(0)), *_quotas(root)])


def _quotas(root: Path) -> Iterator[float]:
    version_1 = cgroups.find(root, "cgroup", "cpu", "cpu.cfs_quota_us")
    for folder in version_1.folders if version_1 else ():
        yield from _quota(*(cgroups.read(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")))
    version_2 = cgroups.find(root, "cgroup2", "", "cpu.max")
    for folder in version_2.folders if version_2 else ():
        yield from _quota(*cgroups.read(folder / "cpu.max").split())


def _quota(*numbers: str) -> Iterator[float]:
    """Of the time of a period, in processors; none where one of the two is a word, or negative."""
    if len(numbers) == 2 and all(number.isdecimal() for number in numbers) and int(numbers[1]):
        yield int(numbers[0]) / int(numbers[1])
