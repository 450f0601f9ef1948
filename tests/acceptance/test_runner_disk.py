"""Disks that are full, read-only or gone: a clear verdict, the old output intact, the executed notebook not lost."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.runs import run

OLD = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.fault(21)
@pytest.mark.fault(23)
def test_an_output_that_does_not_fit_leaves_the_old_one_and_keeps_the_new_one_locally(
    tmp_path: Path, small_disk: Path
) -> None:
    (small_disk / "out.ipynb").write_text(OLD)
    done = run(tmp_path, ["print('x' * 2_000_000)"], output="disk/out.ipynb")
    assert (done.code, done.record["state"]) == (75, "failed")
    assert done.error["reference"] == "storage-unavailable"
    assert "no room left" in done.error["message"]
    assert done.output.read_text() == OLD
    (kept,) = re.findall(r"it is kept in (\S+?)\"", done.stdout)
    assert "x" * 1000 in Path(kept).read_text()
    assert [file.name for file in small_disk.iterdir() if file.name.startswith(".")] == []
    subprocess.run(["rm", "-r", Path(kept).parent], check=True)


@pytest.mark.fault(21)
@pytest.mark.usefixtures("small_disk")
def test_a_cell_that_fails_on_a_full_disk_stays_the_verdict(tmp_path: Path) -> None:
    done = run(tmp_path, ["print('x' * 2_000_000)\n1/0"], output="disk/out.ipynb")
    assert (done.code, done.error["reference"]) == (10, "cell-failed")
    assert [error["reference"] for error in done.error["attached"]] == ["storage-unavailable"]
    assert not done.output.exists()


@pytest.mark.fault(21)
@pytest.mark.fault(19)
def test_an_output_that_may_not_be_written_is_found_before_the_first_cell(tmp_path: Path, small_disk: Path) -> None:
    (small_disk / "out.ipynb").write_text(OLD)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    marker = tmp_path / "cell-was-run"
    done = run(tmp_path, [f"open({str(marker)!r}, 'w').close()"], output="disk/out.ipynb", check=False)
    assert (done.code, marker.exists()) == (77, False)
    assert "read-only" in done.stdout
    assert done.output.read_text() == OLD


@pytest.mark.slow
@pytest.mark.fault(21)
def test_scratch_that_is_full_does_not_lose_the_notebook(tmp_path: Path, small_disk: Path) -> None:
    cells = ["print('x' * 3_000_000)"] * 8  # more than is held in memory
    done = run(tmp_path, cells, env={"TMPDIR": str(small_disk)})
    assert (done.code, set(done.states)) == (0, {"succeeded"})
    assert [len(done.text(index)) for index in range(8)] == [3_000_001] * 8
    assert any("log" in warning for warning in done.record["warnings"])


@pytest.mark.slow
@pytest.mark.fault(21)
@pytest.mark.parametrize("removal", ["shutil.rmtree(folder)", "os.chmod(folder, 0)"])
def test_scratch_that_vanishes_does_not_lose_the_notebook(tmp_path: Path, removal: str) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    cell = f"import os, shutil, glob\nfor folder in glob.glob({str(scratch)!r} + '/*'): {removal}\nprint('gone')"
    done = run(
        tmp_path, [cell, "print('x' * 3_000_000)"] + ["print('x' * 3_000_000)"] * 7, env={"TMPDIR": str(scratch)}
    )
    assert (done.code, set(done.states)) == (0, {"succeeded"})
    assert done.text(0) == "gone\n"


@pytest.mark.fault(21)
def test_no_scratch_at_all(tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    outside = [f"TMPDIR={small_disk}", *(f"{name}={small_disk}" for name in ("TEMP", "TMP"))]
    done = run(tmp_path, ["print(1)"], env=dict(each.split("=") for each in outside))
    assert done.code == 0  # Python's tempfile finds another place


@pytest.mark.fault(23)
def test_a_name_that_is_a_folder_is_refused_before_the_first_cell(tmp_path: Path) -> None:
    (tmp_path / "out.ipynb").mkdir()
    marker = tmp_path / "cell-was-run"
    done = run(tmp_path, [f"open({str(marker)!r}, 'w').close()"], check=False)
    assert (done.code, marker.exists()) == (65, False)
    assert "is a folder" in done.stdout


@pytest.mark.slow
@pytest.mark.fault(60)
def test_a_state_that_does_not_fit_leaves_the_one_before_and_ends_no_run(tmp_path: Path, small_disk: Path) -> None:
    cells = [
        "from nbstep_runner import state\n(state.folder / 'epoch').write_text('1')\nstate.save()",
        "(state.folder / 'model').write_bytes(bytes(range(256)) * 2**18)\nstate.save()",
        "print('goes on')",
    ]
    done = run(tmp_path, cells, "--keep-state", output="disk/out.ipynb")
    assert (done.code, set(done.states), done.record["state_generation"]) == (0, {"succeeded"}, 1)
    (warning,) = done.record["warnings"]
    assert warning.startswith("the state was not saved: There is no room left for")
    assert [path.name for path in small_disk.glob("out.state/generations/*")] == ["000001.json"]
