"""Local files under what processes and disks do: kills, races, full and read-only disks."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nbstep_runner.errors import StorageDeniedError, StorageUnavailableError
from nbstep_runner.stores import atomicfile, open_store

WRITER = """
import sys
from nbstep_runner.stores import open_store
uri, turn = sys.argv[1], 0
store = open_store(uri)
while True:
    store.write(uri, bytes([65 + turn % 26]) * 2_000_000)
    turn += 1
    print(turn, flush=True)
"""
CREATOR = """
import sys, time
from nbstep_runner.errors import OutputConflictError
from nbstep_runner.stores import ABSENT, open_store
uri, me, start = sys.argv[1], sys.argv[2], float(sys.argv[3])
store = open_store(uri)
won = 0
time.sleep(max(0.0, start - time.time()))
for turn in range(30):
    try:
        store.write(f"{uri}{turn}", me.encode(), if_version=ABSENT)
        won += 1
    except OutputConflictError:
        pass
print(won)
"""

STRANGER = """
import os, sys
from nbstep_runner.stores import local
os.setuid(65534)
local.LocalStore().write(sys.argv[1], b"x")
"""


@pytest.mark.fault(12)
def test_a_writer_killed_at_any_moment_leaves_a_whole_object(tmp_path: Path) -> None:
    uri, moments = str(tmp_path / "out.ipynb"), random.Random(1)  # noqa: S311 - the same moments each time
    open_store(uri).write(uri, b"Z" * 2_000_000)
    for _ in range(25):
        process = subprocess.Popen([sys.executable, "-c", WRITER, uri], stdout=subprocess.PIPE)
        assert process.stdout
        process.stdout.readline()  # it is writing now
        time.sleep(moments.random() * 0.03)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        data = open_store(uri).read(uri).data
        assert len(data) == 2_000_000
        assert data == data[:1] * len(data)
    assert [stat.uri for stat in open_store(uri).list(f"{tmp_path}/")] == [uri]
    others = [path for path in tmp_path.iterdir() if str(path) != uri]
    assert all(atomicfile.is_temporary(path.name) for path in others)


@pytest.mark.fault(24)
def test_of_processes_that_create_one_wins(tmp_path: Path) -> None:
    start = str(time.time() + 1.5)
    command = [sys.executable, "-c", CREATOR, f"{tmp_path}/"]
    processes = [subprocess.Popen([*command, f"{me}", start], stdout=subprocess.PIPE) for me in range(4)]
    won = [int(process.communicate()[0]) for process in processes]
    assert sum(won) == 30
    assert len(list(tmp_path.iterdir())) == 30


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    done = subprocess.run(["mount", *options, str(folder)], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"this machine mounts nothing: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.fault(21)
def test_a_full_disk_keeps_the_old_object(tmp_path: Path) -> None:
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        uri = str(tmp_path / "out.ipynb")
        store = open_store(uri)
        store.write(uri, b"good" * 1000)
        with pytest.raises(StorageUnavailableError, match="no room left"):
            store.write(uri, b"x" * 2_000_000)
        assert store.read(uri).data == b"good" * 1000
        assert [path.name for path in tmp_path.iterdir()] == ["out.ipynb"]


@pytest.mark.fault(21)
def test_a_read_only_disk_keeps_the_old_object(tmp_path: Path) -> None:
    uri = str(tmp_path / "out.ipynb")
    with mounted(tmp_path, "-t", "tmpfs", "tmpfs"):
        open_store(uri).write(uri, b"good")
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        with pytest.raises(StorageDeniedError, match="read-only file system"):
            open_store(uri).write(uri, b"new")
        with pytest.raises(StorageDeniedError, match="read-only file system"):
            open_store(uri).delete(uri)
        assert open_store(uri).read(uri).data == b"good"


def test_a_folder_that_is_removed_meanwhile_may_be_there_again_on_a_disk_without_a_size_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "runs"

    def remove_first(path: Path) -> None:
        shutil.rmtree(path)
        sync_folder(path)

    sync_folder = atomicfile.sync_folder
    monkeypatch.setattr(atomicfile, "sync_folder", remove_first)
    with mounted(tmp_path, "-t", "tmpfs", "-o", "size=0", "tmpfs"):
        assert os.statvfs(tmp_path).f_blocks == 0
        with pytest.raises(StorageUnavailableError, match="was removed"):
            open_store(str(folder)).write(f"{folder}/out.ipynb", b"x")


@pytest.mark.fault(21)
def test_a_folder_of_another_user_is_denied(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    tmp_path.chmod(0o755)
    command = [sys.executable, "-c", STRANGER, str(tmp_path / "out.ipynb")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "StorageDeniedError" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_large_file_is_never_in_memory(tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom nbstep_runner.stores import open_store\n"
        "open_store('a').write(sys.argv[2], b'x')\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "open_store('a').write(sys.argv[2], Path(sys.argv[1]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(200 * 2**20)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "large"), str(tmp_path / "out")], check=True, capture_output=True
    )
    assert int(done.stdout) < 20_000  # kB
