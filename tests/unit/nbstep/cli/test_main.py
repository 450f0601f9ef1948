"""How the command ``nbstep`` ends: at once, but after all that has to be done first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, sys, threading, time
from nbstep.cli import main

class Module:
    def __del__(self):
        print("taken apart", flush=True)

kept = Module()

def run(arguments):
    atexit.register(print, "at exit")
    threading.Thread(target=lambda: (time.sleep(0.2), print("a thread's last words"))).start()
    print("not flushed", end=" ")
    {ending}

main.run = run
main.main()
"""


def ended(ending: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(ending=ending)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_threads_and_what_is_registered_end_first_and_no_module_is_taken_apart() -> None:
    done = ended("return 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "not flushed a thread's last words\nat exit\n", "")


@pytest.mark.parametrize(("ending", "code"), [("raise SystemExit(3)", 3), ("raise SystemExit(None)", 0)])
def test_another_way_to_end_is_pythons_own(ending: str, code: int) -> None:
    done = ended(ending)
    assert (done.returncode, done.stderr) == (code, "")
    assert "at exit" in done.stdout


def test_what_cannot_be_printed_at_the_end_is_told() -> None:
    program = PROGRAM.format(ending="return 0")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 75
    assert "nbstep: what is printed cannot be written: No space left on device" in done.stderr
