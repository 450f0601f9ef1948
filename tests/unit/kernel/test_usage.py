from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nbstep_runner.kernel.usage import ProcessUsage

MIB = 1024 * 1024


def test_the_figures_of_a_process(tmp_path: Path) -> None:
    folder = tmp_path / "42"
    folder.mkdir()
    (folder / "stat").write_text("42 (a) b( c) S 1 42 42 0 -1 4194304 99 0 0 0 150 25 10 5 20 0 1 0 242047 3133440 359")
    (folder / "status").write_text("Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t  2048 kB\n")
    (folder / "clear_refs").touch()
    usage = ProcessUsage(42, proc=tmp_path)
    assert usage.cpu_seconds() == 190 / os.sysconf("SC_CLK_TCK")
    assert usage.peak_bytes() == 2 * MIB
    assert usage.reset_peak()
    assert (folder / "clear_refs").read_text() == "5"
    usage.close()
    assert (usage.cpu_seconds(), usage.peak_bytes(), usage.reset_peak()) == (None, None, False)


def test_a_process_that_is_gone_has_no_figures() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    usage = ProcessUsage(process.pid)
    assert (usage.cpu_seconds(), usage.peak_bytes(), usage.reset_peak()) == (None, None, False)
    usage.close()


GROW_AND_SHRINK = """
import sys
block = b"x" * (200 << 20)
del block
print("shrunk", flush=True)
sys.stdin.read()
"""


def test_the_peak_of_a_real_process_and_its_reset() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", GROW_AND_SHRINK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout
        process.stdout.readline()
        usage = ProcessUsage(process.pid)
        peak = usage.peak_bytes()
        assert peak
        assert peak > 200 * MIB
        assert (usage.cpu_seconds() or 0) > 0
        if not usage.reset_peak():
            pytest.skip("this system does not let the peak be reset")
        assert (usage.peak_bytes() or 0) < 100 * MIB
        process.communicate()
    assert (usage.cpu_seconds(), usage.peak_bytes(), usage.reset_peak()) == (None, None, False)
    usage.close()
