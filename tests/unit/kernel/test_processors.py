"""How many processors a run has: what it may run on, and what its cgroup's quota leaves of their time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbstep_runner.kernel.processors import available_processors

MOUNTS = """\
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
30 23 0:26 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup rw
"""
CPU_1 = "sys/fs/cgroup/cpu/pod/c"
CPU_2 = "sys/fs/cgroup/pod/c"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({f"{CPU_2}/cpu.max": "100000 100000\n"}, 1),
        ({f"{CPU_2}/cpu.max": "max 100000\n"}, 8),
        ({f"{CPU_2}/cpu.max": "max 100000\n", "sys/fs/cgroup/pod/cpu.max": "250000 100000\n"}, 2.5),
        ({f"{CPU_2}/cpu.max": "6400000 100000\n"}, 8),
        ({f"{CPU_2}/cpu.max": "nonsense\n"}, 8),
        ({f"{CPU_1}/cpu.cfs_quota_us": "50000\n", f"{CPU_1}/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({f"{CPU_1}/cpu.cfs_quota_us": "-1\n", f"{CPU_1}/cpu.cfs_period_us": "100000\n"}, 8),
        ({f"{CPU_1}/cpu.cfs_quota_us": "50000\n"}, 8),
    ],
)
def test_the_tightest_bound_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: float
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    proc = {"proc/self/cgroup": "4:cpu,cpuacct:/pod/c\n0::/pod/c\n", "proc/self/mountinfo": MOUNTS}
    for name, text in (proc | files).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_processors(tmp_path) == expected
