"""``nbstep run`` as people type it: what it shows where, what it leaves, what it ends with."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

NBSTEP = Path(sys.executable).with_name("nbstep")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("NBSTEP_")}


def write_notebook(folder: Path, *sources: str) -> Path:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
        for n, source in enumerate(sources)
    ]
    cells[0]["metadata"] = {"tags": ["parameters"]}
    path = folder / "in.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def nbstep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [NBSTEP, *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.slow
def test_a_pipe_gets_lines_for_people_and_the_places_of_the_results(tmp_path: Path) -> None:
    write_notebook(tmp_path, "n = 1", "print('n is', n)")
    done = nbstep(tmp_path, "run", "in.ipynb", "out.ipynb", "-p", "n", "7", "--html")
    assert (done.returncode, done.stderr) == (0, "")
    assert "n is 7" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stdout.endswith("executed notebook: out.ipynb\nHTML: out.html\n")
    assert (tmp_path / "out.html").exists()


def test_json_lines_are_the_runners_own(tmp_path: Path) -> None:
    write_notebook(tmp_path, "n = 1", "print('n is', n)")
    done = nbstep(tmp_path, "run", "in.ipynb", "out.ipynb", "--log-format", "json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert [line["seq"] for line in lines] == list(range(lines[0]["seq"], lines[0]["seq"] + len(lines)))
    assert lines[-1]["event"] == "run-finished"


def test_the_record_alone_is_on_stdout_with_json(tmp_path: Path) -> None:
    write_notebook(tmp_path, "n = 1", "raise ValueError('no')")
    done = nbstep(tmp_path, "run", "in.ipynb", "out.ipynb", "--json")
    record = json.loads(done.stdout)
    assert done.returncode == record["exit_code"] == 10
    assert record == json.loads((tmp_path / "out.result.json").read_text())
    assert "ValueError: no" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("quiet", ["--quiet", "-q"])
def test_quiet_says_nothing_of_a_success(tmp_path: Path, quiet: str) -> None:
    write_notebook(tmp_path, "n = 1", "print('chatter')")
    done = nbstep(tmp_path, "run", quiet, "in.ipynb", "out.ipynb")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_mistake_is_told_in_lines_not_in_a_traceback(tmp_path: Path) -> None:
    done = nbstep(tmp_path, "run", "missing.ipynb", "out.ipynb", "--json")
    assert done.returncode == 66
    assert json.loads(done.stdout)["error"]["reference"] == "input-not-found"
    assert "Traceback" not in done.stderr

    done = nbstep(tmp_path, "run", "missing.ipynb", "out.ipynb", "--no-such-option")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--no-such-option" in done.stderr


@pytest.mark.fault(12)
def test_a_runner_that_is_killed_ends_as_its_record_says(tmp_path: Path) -> None:
    parent = "int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])"  # of the watchdog
    write_notebook(tmp_path, "n = 1", f"import os, signal\nos.kill({parent}, signal.SIGKILL)")
    done = nbstep(tmp_path, "run", "in.ipynb", "out.ipynb")
    assert done.returncode == 12
    assert "nbstep: the runner was killed by SIGKILL and could give no verdict" in done.stderr
    record, deadline = tmp_path / "out.result.json", time.monotonic() + 60
    while json.loads(record.read_text())["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    told = json.loads(record.read_text())
    assert (told["state"], told["exit_code"], told["error"]["reference"]) == ("lost", done.returncode, "lost")


def test_the_help_describes_the_runners_options_too(tmp_path: Path) -> None:
    done = nbstep(tmp_path, "run", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--json" in done.stdout
    assert "--execution-timeout" in done.stdout


def test_the_help_describes_each_option_once(tmp_path: Path) -> None:
    shown = nbstep(tmp_path, "run", "--help").stdout
    names = re.findall(r"^  (?:-\w, )?(--[\w-]+)", shown, flags=re.MULTILINE)
    assert len(names) > 40
    assert sorted(names) == sorted(set(names))
    assert all(f"\n{title}:\n" in shown for title in ("Parameters", "Output", "Kernel", "Limits", "Storage"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--no-such-option"], "No such option '--no-such-option'"),
        (["-p", "n"], "'n' has no value; write n=VALUE"),
        (["--json"], "name an OUTPUT"),
    ],
)
def test_a_usage_error_names_the_command_that_was_typed(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = nbstep(tmp_path, "run", "in.ipynb", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: nbstep run ")
    assert said in done.stderr
    assert "nbstep-runner" not in done.stderr


def test_without_an_output_a_pipe_gets_the_notebook(tmp_path: Path) -> None:
    write_notebook(tmp_path, "n = 1", "print('n is', n)")
    done = nbstep(tmp_path, "run", "in.ipynb", "-p", "n=7")
    assert done.returncode == 0
    assert "n is 7" in json.dumps(json.loads(done.stdout)["cells"][-1]["outputs"])
    assert "n is 7" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.ipynb"]


def on_a_terminal(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit code, and what the terminal shows."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [NBSTEP, *arguments],
        cwd=folder,
        env=ENVIRONMENT | {"TERM": "xterm-256color"},
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    shown = b""
    while chunk := _read(parent):
        shown += chunk
    return process.wait(timeout=60), shown.decode()


def test_a_terminal_gets_a_view_of_the_run(tmp_path: Path) -> None:
    write_notebook(tmp_path, "n = 1", "print('n is', n)")
    code, shown = on_a_terminal(tmp_path, "run", "in.ipynb", "out.ipynb")
    assert code == 0
    assert "n is 1" in shown
    assert "out.ipynb" in shown
    assert '{"time"' not in shown


def test_without_an_output_a_terminal_gets_one_beside_itself_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    write_notebook(tmp_path / "notebooks", "n = 1", "print('n is', n)")
    code, shown = on_a_terminal(tmp_path, "run", "notebooks/in.ipynb")
    assert code == 0
    assert "nbstep run: the executed notebook goes to in.out.ipynb" in shown
    assert "run succeeded" in shown
    assert json.loads((tmp_path / "in.out.ipynb").read_bytes())["cells"]
    assert json.loads((tmp_path / "in.out.result.json").read_bytes())["state"] == "succeeded"


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "shown"), [(["-"], '"cells"'), (["--help-notebook"], "n: int (default 1)")])
def test_a_terminal_that_asks_for_data_gets_data_and_no_view(tmp_path: Path, arguments: list[str], shown: str) -> None:
    write_notebook(tmp_path, "n: int = 1", "print('n is', n)")
    code, text = on_a_terminal(tmp_path, "run", "in.ipynb", *arguments)
    assert code == 0
    assert shown in text
    assert "without a verdict" not in text
    assert "✗" not in text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end of a terminal is closed
        return b""


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)]
)
def test_a_signal_reaches_the_run_and_what_was_done_is_saved(tmp_path: Path, number: int, code: int) -> None:
    write_notebook(tmp_path, "n = 1", "print('begun')\nimport time\ntime.sleep(60)")
    process = subprocess.Popen(
        [NBSTEP, "run", "in.ipynb", "out.ipynb"], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert any("begun" in line for line in process.stdout)
    time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=100)
    assert process.returncode == code
    assert "begun" in (tmp_path / "out.ipynb").read_text()
    assert json.loads((tmp_path / "out.result.json").read_text())["state"] == "cancelled"


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("folder.ipynb", 65, "folder.ipynb is a folder or a device, not a file.\nName a file as the output."),
        pytest.param(
            "folder.ipynb/",
            65,
            "folder.ipynb/ names a folder, not a notebook.\nName a file as the output.",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "in.ipynb/out.ipynb",
            65,
            "is below something that is not a folder.\nName another place.",
            marks=pytest.mark.slow,
        ),
        ("/sys/out.ipynb", 77, "may not be reached"),
    ],
)
def test_an_output_that_cannot_be_is_told_before_the_first_cell_and_leaves_nothing(
    tmp_path: Path, output: str, code: int, said: str
) -> None:
    write_notebook(tmp_path, "open('ran', 'w')")
    (tmp_path / "folder.ipynb").mkdir()
    done = nbstep(tmp_path, "run", "in.ipynb", output, "--html")
    words = re.sub(r"^[\d:.]+ nbstep: (ERROR: )?", "", done.stdout, flags=re.MULTILINE)
    assert (done.returncode, said in words) == (code, True), words
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder.ipynb", "in.ipynb"]


def test_a_value_that_a_cell_sets_again_is_warned_of(tmp_path: Path) -> None:
    path = write_notebook(tmp_path, "import os", "rate = 0.1")
    path.write_text(path.read_text().replace('"tags": ["parameters"]', ""))
    done = nbstep(tmp_path, "run", "in.ipynb", "out.ipynb", "-p", "rate", "0.5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "WARNING: cell 1 sets rate before anything has read the given value" in done.stdout
    assert "nbstep tag NOTEBOOK --cell 1" in done.stdout
