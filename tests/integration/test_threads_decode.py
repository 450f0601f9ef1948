"""Threads that read records at once: a library that learns a type twice at once crashes the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

DECODE_AT_ONCE = """
import sys, threading
from nbstep_runner.contract import RunResult, RunState, decode, encode

record = RunResult(run_id="r", attempt=1, spec_digest="", state=RunState.PENDING, input_uri="a", output_uri="b")
data, gate = encode(record), threading.Barrier(8)
sys.setswitchinterval(1e-6)

def read():
    gate.wait()
    assert all(decode(data, RunResult) == record for _ in range(20))

threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("_", range(6))
def test_records_are_read_by_threads_of_a_new_process(_: int) -> None:
    done = subprocess.run([sys.executable, "-c", DECODE_AT_ONCE], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
