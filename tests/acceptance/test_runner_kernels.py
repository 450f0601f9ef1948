"""Kernels of any language run, stop, fail and take parameters as Python's does."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from support import kernels
from support.notebooks import Code
from support.runs import run, start

pytestmark = pytest.mark.slow

BASH = {"name": "bash", "display_name": "Bash", "language": "bash"}
OCTAVE = {"name": "octave", "display_name": "Octave", "language": "octave"}
R = {"name": "ir", "display_name": "R", "language": "R"}
VALUES = {
    "text": "quote ' double \" back \\ dollar $HOME `id` tab\tend",
    "word": "größe",
    "count": 12345678901,
    "rate": 0.1,
    "flag": True,
}


def test_bash(tmp_path: Path) -> None:
    cells = ["echo out\necho err >&2\nx=5", "echo $((x + 1))\nfalse", "echo never"]
    done = run(tmp_path, cells, kernelspec=BASH, env=kernels.bash(tmp_path))
    assert (done.code, done.states) == (10, ["succeeded", "failed", "not_run"])
    assert done.text(0) == "out\nerr\n"
    assert done.text(1) == "6\n"
    assert done.record["environment"]["kernel"] == "bash"
    assert done.notebook.metadata.language_info.name == "bash"


def test_bash_tells_a_status_only(tmp_path: Path) -> None:
    done = run(tmp_path, ["exit_with() { return $1; }", "exit_with 7"], kernelspec=BASH, env=kernels.bash(tmp_path))
    assert (done.code, done.error["message"]) == (10, "cell 1 failed with status 7")


def test_an_error_that_octave_only_prints_fails_its_cell(tmp_path: Path) -> None:
    caught = "try\n  error('caught')\ncatch problem\n  disp(problem.message)\nend"
    cells = [caught, "error('no such station')", "disp(1)"]
    done = run(tmp_path, cells, kernelspec=OCTAVE, env=kernels.octave(tmp_path))
    assert (done.code, done.states) == (10, ["succeeded", "failed", "not_run"])
    assert done.error["message"] == "cell 1 failed: no such station"
    assert done.cells[1].outputs[-1].evalue == "no such station"


def test_a_signal_interrupts_bash(tmp_path: Path) -> None:
    with start(
        tmp_path, ["echo begun\nsleep 60", "echo never"], kernelspec=BASH, env=kernels.bash(tmp_path)
    ) as running:
        done = running.wait_for('"message":"begun"').signal(signal.SIGTERM).finish(30)
    assert (done.code, done.states) == (143, ["interrupted", "not_run"])
    assert done.text(0).startswith("begun\n")


@pytest.mark.fault(35)
def test_values_reach_bash_unchanged(tmp_path: Path) -> None:
    names = "\n".join(f"{name}=''" for name in VALUES)
    show = 'printf "%s\\n" "$text" "$word" "$count" "$rate" "$flag"'
    done = run(
        tmp_path,
        [Code(names, tags=("parameters",)), show],
        "-y",
        json.dumps(VALUES),
        kernelspec=BASH,
        env=kernels.bash(tmp_path),
    )
    assert done.code == 0, done.error
    shown = done.text(2).splitlines()
    assert shown[:4] == [VALUES["text"], VALUES["word"], "12345678901", "0.1"]
    assert shown[4].lower() == "true"


@pytest.mark.fault(35)
def test_r_runs_fails_and_takes_values_unchanged(tmp_path: Path) -> None:
    names = "\n".join(f"{name} <- NULL" for name in VALUES)
    show = "cat(text, word, count, rate, flag, sep='\\n')"
    done = run(
        tmp_path,
        [Code(names, tags=("parameters",)), show, "stop('no such station')", "cat('never')"],
        "-y",
        json.dumps(VALUES),
        kernelspec=R,
        env=kernels.r(tmp_path),
    )
    assert (done.code, done.states) == (10, ["succeeded", "succeeded", "succeeded", "failed", "not_run"])
    assert done.text(2).splitlines() == [VALUES["text"], VALUES["word"], "12345678901", "0.1", "TRUE"]
    assert "no such station" in done.error["message"]
    assert done.notebook.metadata.language_info.name == "R"


@pytest.mark.fault(7)
@pytest.mark.parametrize(("source", "code"), [("quit(status = 3)", 10), ("quit('no')", 0)])
def test_r_ends_with_the_status_that_it_is_given(tmp_path: Path, source: str, code: int) -> None:
    done = run(tmp_path, [source, "cat('never')"], kernelspec=R, env=kernels.r(tmp_path), seconds=60)
    assert (done.code, done.states) == (code, ["failed" if code else "succeeded", "not_run"])


@pytest.mark.fault(8)
def test_r_is_answered_nothing_when_it_asks_for_input(tmp_path: Path) -> None:
    cell = "for (i in 1:2) print(readline('which? '))"
    done = run(tmp_path, [cell, "cat('on')"], kernelspec=R, env=kernels.r(tmp_path), seconds=60)
    assert (done.code, done.text(0), done.text(1)) == (0, '[1] ""\n[1] ""\n', "on")


@pytest.mark.fault(6)
def test_r_meets_its_deadline(tmp_path: Path) -> None:
    cells = ["cat('begun\\n')\nflush(stdout())\nSys.sleep(60)", "cat('never')"]
    done = run(tmp_path, cells, "--execution-timeout", "1", kernelspec=R, env=kernels.r(tmp_path), seconds=30)
    assert (done.code, done.states) == (11, ["timed_out", "not_run"])


def test_a_notebook_without_a_kernelspec_runs_by_its_language_else_as_python(tmp_path: Path) -> None:
    done = run(tmp_path, ["import sys\nprint(sys.version_info.major)"], kernelspec=None)
    assert (done.code, done.text(0)) == (0, "3\n")
    assert done.notebook.metadata.kernelspec.name == "python3"
    done = run(tmp_path, ["echo $BASH_VERSION | wc -l"], "-l", "bash", kernelspec=None, env=kernels.bash(tmp_path))
    assert (done.code, done.record["environment"]["kernel"]) == (0, "bash")


def test_the_kernel_of_the_command_line_wins(tmp_path: Path) -> None:
    done = run(tmp_path, ["echo $((6 * 7))"], "-k", "bash", env=kernels.bash(tmp_path))
    assert (done.code, done.text(0)) == (0, "42\n")


def test_a_kernel_makes_no_record_that_no_handler_takes(tmp_path: Path) -> None:
    """Its warnings are still logged, and whoever wants more can ask for it."""
    cell = """import logging
log = get_ipython().kernel.log
print(log.isEnabledFor(logging.DEBUG), log.isEnabledFor(logging.WARNING))
log.setLevel(logging.DEBUG)
print(log.isEnabledFor(logging.DEBUG))"""
    done = run(tmp_path, [cell])
    assert (done.code, done.text(0)) == (0, "False True\nTrue\n")


def test_cells_await_at_their_top_level(tmp_path: Path) -> None:
    cells = [
        "import asyncio\nawait asyncio.sleep(0)\nprint('one')",
        "async with asyncio.timeout(5):\n    print('two')",
        "async def stream():\n    yield 3\nprint([each async for each in stream()])",
    ]
    done = run(tmp_path, cells)
    assert (done.code, [done.text(index) for index in range(3)]) == (0, ["one\n", "two\n", "[3]\n"])


def test_a_stock_kernel_does_the_same(tmp_path: Path) -> None:
    cell = "import os\nos.system('echo shell')\nprint('python')"
    done = run(tmp_path, [cell], "--stock-kernel", env={"PYTEST_CURRENT_TEST": None})  # ipykernel acts on it
    assert (done.code, sorted(done.text(0).splitlines())) == (0, ["python", "shell"])
