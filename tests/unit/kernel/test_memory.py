from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbstep_runner.kernel.memory import MemoryWatch, prefer_as_oom_victim

MIB = 1024 * 1024
GIB = 1024 * MIB

V1_MOUNTS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 {top} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1_CGROUP = "9:name=systemd:/\n4:memory:{path}\n1:cpu:/\n0::/\n"
V1_OOM = "oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n"
V2_MOUNTS = (
    "26 22 0:23 /a\\040b /mnt/with\\040space rw - ext4 /dev/sda rw\n"
    "30 23 0:26 {top} /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n"
)
V2_EVENTS = "low 0\nhigh 12\nmax 40\noom 3\noom_kill {kills}\noom_group_kill 0\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def version_1(root: Path, path: str, top: str, folder: str, limit: int) -> Path:
    folder = f"sys/fs/cgroup/memory/{folder}"
    write(
        root,
        {
            "proc/self/cgroup": V1_CGROUP.format(path=path),
            "proc/self/mountinfo": V1_MOUNTS.format(top=top),
            f"{folder}/memory.oom_control": V1_OOM.format(kills=2),
            f"{folder}/memory.max_usage_in_bytes": f"{700 * MIB}\n",
            f"{folder}/memory.limit_in_bytes": f"{limit}\n",
            f"{folder}/memory.stat": f"cache 1\nhierarchical_memory_limit {limit}\ntotal_cache 1\n",
        },
    )
    return root / folder


def version_2(root: Path, path: str, top: str, folder: str, limit: str) -> Path:
    folder = f"sys/fs/cgroup/{folder}"
    write(
        root,
        {
            "proc/self/cgroup": f"0::{path}\n",
            "proc/self/mountinfo": V2_MOUNTS.format(top=top),
            f"{folder}/memory.events": V2_EVENTS.format(kills=2),
            f"{folder}/memory.peak": f"{700 * MIB}\n",
            f"{folder}/memory.max": f"{limit}\n",
        },
    )
    return root / folder


@pytest.mark.parametrize(
    ("path", "top", "folder"),
    [
        pytest.param("/user/run", "/", "user/run", id="host"),
        pytest.param("/docker/12ab", "/docker/12ab", "", id="container, the host's names"),
        pytest.param("/", "/", "", id="container, names of its own"),
        pytest.param("/kubepods/pod1/c1", "/kubepods/pod1/c1", "", id="pod"),
        pytest.param("/kubepods/pod1/c1/inner", "/kubepods/pod1/c1", "inner", id="nested in a pod"),
        pytest.param("/kubepods/pod1/c1", "/", "", id="the mount lacks the path"),
    ],
)
def test_the_figures_of_version_1(tmp_path: Path, path: str, top: str, folder: str) -> None:
    folder_path = version_1(tmp_path, path, top, folder, GIB)
    watch = MemoryWatch.start(tmp_path)
    assert (watch.oom_kills(), watch.peak_bytes(), watch.limit_bytes()) == (0, 700 * MIB, GIB)
    (folder_path / "memory.oom_control").write_text(V1_OOM.format(kills=3))
    assert watch.oom_kills() == 1


@pytest.mark.parametrize(
    ("path", "top", "folder"),
    [
        pytest.param("/user.slice/run.scope", "/", "user.slice/run.scope", id="host"),
        pytest.param("/", "/", "", id="container, names of its own"),
        pytest.param("/kubepods.slice/c1", "/kubepods.slice/c1", "", id="container, the host's names"),
        pytest.param("/../../c1", "/", "", id="outside the namespace"),
        pytest.param("/kubepods.slice/c1", "/../..", "", id="mounted from outside the namespace"),
    ],
)
def test_the_figures_of_version_2(tmp_path: Path, path: str, top: str, folder: str) -> None:
    folder_path = version_2(tmp_path, path, top, folder, str(GIB))
    watch = MemoryWatch.start(tmp_path)
    assert (watch.oom_kills(), watch.peak_bytes(), watch.limit_bytes()) == (0, 700 * MIB, GIB)
    (folder_path / "memory.events").write_text(V2_EVENTS.format(kills=4))
    assert watch.oom_kills() == 2


def test_a_tighter_limit_further_up_holds(tmp_path: Path) -> None:
    folder = version_2(tmp_path, "/pod/container", "/", "pod/container", "max")
    assert MemoryWatch.start(tmp_path).limit_bytes() is None
    (folder.parent / "memory.max").write_text(f"{GIB}\n")
    assert MemoryWatch.start(tmp_path).limit_bytes() == GIB


def test_version_1_says_no_limit_by_a_huge_number(tmp_path: Path) -> None:
    version_1(tmp_path, "/", "/", "", 9223372036854771712)
    assert MemoryWatch.start(tmp_path).limit_bytes() is None


def test_without_cgroups_nothing_is_claimed(tmp_path: Path) -> None:
    write(tmp_path, {"proc/self/cgroup": "0::/\nnonsense\n", "proc/self/mountinfo": "1 2\n"})
    for root in (tmp_path, tmp_path / "empty"):
        watch = MemoryWatch.start(root)
        assert (watch.oom_kills(), watch.peak_bytes(), watch.limit_bytes()) == (None, None, None)


def test_a_process_that_is_gone_can_be_preferred() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    prefer_as_oom_victim(process.pid)


@pytest.mark.parametrize(("before", "after"), [("0\n", "500"), ("984\n", "1000"), ("-997\n", "-497")])
def test_the_kernel_is_killed_before_the_runner(tmp_path: Path, before: str, after: str) -> None:
    write(tmp_path, {"42/oom_score_adj": before})
    prefer_as_oom_victim(42, proc=tmp_path)
    assert (tmp_path / "42/oom_score_adj").read_text() == after


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A real cgroup with a limit of 64 MiB."""
    here = MemoryWatch.start()._folder
    if here is None:
        pytest.skip("this system shows no memory cgroup")
    folder = here / f"nbstep-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        for name, limit in (
            ("memory.limit_in_bytes", 64 * MIB),
            ("memory.max", 64 * MIB),
            ("memory.swap.max", 0),
            ("memory.memsw.limit_in_bytes", 64 * MIB),
        ):
            if (folder / name).exists():
                (folder / name).write_text(str(limit))
        if not any((folder / name).exists() for name in ("memory.limit_in_bytes", "memory.max")):
            pytest.skip("the memory controller is not delegated here")
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    for _ in range(50):
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.02)
        else:
            return


WATCH_A_VICTIM = """
import os, subprocess, sys
from pathlib import Path
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
from nbstep_runner.kernel.memory import MemoryWatch, prefer_as_oom_victim
watch = MemoryWatch.start()
assert watch.oom_kills() == 0
victim = subprocess.Popen([sys.executable, "-c", "input(); block = b'x' * (256 << 20)"], stdin=subprocess.PIPE)
prefer_as_oom_victim(victim.pid)
victim.communicate(b"go")
print(victim.returncode, watch.oom_kills(), watch.limit_bytes(), watch.peak_bytes() > (60 << 20))
"""


def test_a_real_kill_for_memory_is_counted(small_cgroup: Path) -> None:
    source = str(Path(sys.modules[MemoryWatch.__module__].__file__ or "").parents[2])
    done = subprocess.run(
        [sys.executable, "-c", WATCH_A_VICTIM, str(small_cgroup)],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{-signal.SIGKILL} 1 {64 * MIB} True\n"
