"""What a notebook sees of its kernel is what it sees in Jupyter, and its commands are told of truthfully."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from support.notebooks import Code, write
from support.runs import Done, run

MARKER = "papermill-error-cell-tag"
HISTORY = """
%history -n 1-2
%history -o 2
%save -f saved.py 1
print(list(get_ipython().history_manager.get_tail(1)))
"""
EXPORTED = """
%notebook exported.ipynb
import nbformat
for cell in nbformat.read('exported.ipynb', as_version=4).cells[:2]:
    print(cell.source, [output.get('text') or output.data['text/plain'] for output in cell.outputs])
"""
LAUNCHED = """
import os, sys
parent = os.getppid()
its_own = open(f'/proc/{parent}/stat').read().rpartition(')')[2].split()[1]
print(os.path.basename(sys.argv[0]), sys.argv[1], os.environ['JPY_PARENT_PID'] in (str(parent), its_own))
"""
COMMANDS = """
!cat
!read line || echo nothing to read
x, y = 'global', 5
def nested():
    x = 'local'
    !echo $x {y}
nested()
!false
names = !ls /nowhere/at/all
!kill -9 $$
print('after', _exit_code)
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--stock-kernel",)], ids=["slim", "stock"])
def test_the_session_has_its_history(tmp_path: Path, options: tuple[str, ...]) -> None:
    cells = ["print('one')\nprint('two')", "40 + 2", HISTORY, EXPORTED]
    done = run(tmp_path, cells, *options, cwd=tmp_path, env={"IPYTHONDIR": str(tmp_path / "ipython")})
    assert done.code == 0, done.error
    assert "   2: 40 + 2\n" in done.text(2)
    assert "40 + 2\n42\n" in done.text(2)
    assert "(1, 2, '40 + 2')" in done.text(2).replace("(2, 2,", "(1, 2,")
    assert (tmp_path / "saved.py").read_text().endswith("print('one')\nprint('two')\n")
    assert done.text(3) == "print('one')\nprint('two') ['one\\ntwo\\n']\n40 + 2 ['42']\n"


def test_the_session_keeps_what_was_printed_and_shown_in_its_order(tmp_path: Path) -> None:
    show = "[(each.output_type, *each.bundle.values()) for each in get_ipython().history_manager.outputs[1]]"
    cells = ["import sys\nprint('a', 1)\nprint('b', file=sys.stderr)\nprint('c')\n7", show]
    done = run(tmp_path, cells, env={"IPYTHONDIR": str(tmp_path / "ipython")})
    kept = [("out_stream", ["a 1\n"]), ("err_stream", ["b\n"]), ("out_stream", ["c\n"]), ("execute_result", "7")]
    assert ast.literal_eval(done.cells[1].outputs[0].data["text/plain"]) == kept


@pytest.mark.slow
def test_what_the_kernel_keeps_of_output_is_bounded(tmp_path: Path) -> None:
    cell = """for _ in range(40):
    print('x' * 1_000_000)
outputs = get_ipython().history_manager.outputs[1]
print(sum(len(part) for kept in outputs for part in kept.bundle['stream']) < 17_000_000)"""
    done = run(tmp_path, [cell])
    assert done.text(0).endswith("\nTrue\n")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--stock-kernel",)], ids=["slim", "stock"])
def test_the_kernel_looks_as_jupyter_launched_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, [LAUNCHED], *options)
    assert done.text(0) == "ipykernel_launcher.py -f True\n"


def test_commands_have_nothing_to_read_and_failures_are_told(tmp_path: Path) -> None:
    done = run(tmp_path, ["print('fine')\n!true\n%cd -q .", COMMANDS, "%cd missing"], seconds=30)
    assert (done.code, done.states) == (0, ["succeeded", "succeeded", "succeeded"])
    assert done.text(1).splitlines() == ["nothing to read", "local 5", "after -9"]
    warnings = [
        "cell 1: the command 'false' ended with status 1, and 2 more failed",
        "cell 2: the command '%cd missing' ended with status 1",
    ]
    assert done.record["warnings"] == warnings
    assert [line["message"] for line in done.log if line["severity"] == "WARNING"] == warnings


def test_the_status_of_a_command_is_told_as_it_is_and_kept_as_ipython_has_it(tmp_path: Path) -> None:
    """A shell ends with 128 and more where a signal has ended its command, and where it is told to."""
    done = run(tmp_path, ["!exit 255\n_exit_code", "!kill -9 $$\n_exit_code"])
    assert [cell.outputs[-1].data["text/plain"] for cell in done.cells] == ["-127", "-9"]
    assert done.record["warnings"] == [
        "cell 0: the command 'exit 255' ended with status 255",
        "cell 1: the command 'kill -9 $$' was ended by SIGKILL",
    ]


def test_a_script_that_fails_in_the_background_is_told_of_its_cell(tmp_path: Path) -> None:
    cells = ["%%bash --bg\nsleep 0.2; exit 3", "%%bash --bg\nsleep 60", "import time; time.sleep(1)"]
    done = run(tmp_path, cells, seconds=30)
    assert done.states == ["succeeded"] * 3
    warnings = ["cell 0: the command 'sleep 0.2; exit 3' ended with status 3"]
    assert done.record["warnings"] == warnings
    assert [line["message"] for line in done.log if line["severity"] == "WARNING"] == warnings


@pytest.mark.slow
def test_commands_write_to_a_terminal_and_need_not_be_alone_on_it(tmp_path: Path) -> None:
    cell = r"""
!test -t 1 && test -t 2 && ! test -t 0 && echo a terminal
!stty size <&1
!(sleep 50; echo never) & echo left behind; sleep 0.2
!printf '\303'; sleep 0.3; printf '\244\n'; exit 3
_exit_code
"""
    done = run(tmp_path, [cell], seconds=40)
    assert done.text(0).splitlines() == ["a terminal", "24 80", "left behind", "ä"]
    assert done.cells[0].outputs[-1].data["text/plain"] == "3"


@pytest.mark.slow
def test_an_interrupted_command_is_ended_and_has_last_words(tmp_path: Path) -> None:
    cell = """!trap 'echo interrupted; exit 4' INT; echo begun; sleep 50 & wait"""
    done = run(tmp_path, [cell], "--execution-timeout", "2", seconds=40)
    assert (done.code, done.states) == (11, ["timed_out"])
    assert done.text(0).splitlines() == ["begun", "interrupted"]


@pytest.mark.slow
def test_strict_shell_makes_them_failures(tmp_path: Path) -> None:
    cells = ["!exit 3\nprint('the cell goes on')", "print('never')"]
    done = run(tmp_path, cells, "--strict-shell")
    assert (done.code, done.states) == (10, ["failed", "not_run"])
    assert done.error["message"] == "cell 0 raised CommandFailed: the command 'exit 3' ended with status 3"
    assert done.text(0) == "the cell goes on\n"
    assert done.cells[0].outputs[-1].ename == "CommandFailed"
    allowed = run(tmp_path, [Code(cells[0], tags=("raises-exception",)), cells[1]], "--strict-shell", output="b.ipynb")
    assert (allowed.code, allowed.states) == (0, ["succeeded", "succeeded"])


@pytest.mark.slow
def test_a_secret_in_a_failing_command_is_masked(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("key: {secret: 'env:SHELL_SECRET'}")
    cells = [Code("key = ''", tags=("parameters",)), "!false {key}"]
    done = run(tmp_path, cells, "-f", str(tmp_path / "p.yaml"), env={"SHELL_SECRET": "5up3r-53cret-9f1c"})
    assert done.record["warnings"] == ["cell 2: the command 'false ***' ended with status 1"]


def marks(notebook: Any) -> list[tuple[int, str]]:
    """Where marker cells stand, and whether they link or are linked to."""
    found = [(index, cell) for index, cell in enumerate(notebook.cells) if MARKER in cell.metadata.get("tags", ())]
    return [(index, "anchor" if 'id="papermill-error-cell"' in cell.source else "link") for index, cell in found]


@pytest.mark.slow
def test_the_failing_cell_is_marked_where_papermill_marks_it(tmp_path: Path) -> None:
    cells = ["1", "raise ValueError('<b>')", "2"]
    done = run(tmp_path, cells)
    with pytest.raises(papermill.PapermillExecutionError):
        papermill.execute_notebook(str(tmp_path / "in.ipynb"), str(tmp_path / "theirs.ipynb"), progress_bar=False)
    theirs = nbformat.read(tmp_path / "theirs.ipynb", as_version=4)
    assert marks(done.notebook) == marks(theirs) == [(0, "link"), (2, "anchor")]
    assert 'href="#papermill-error-cell">In [2]<' in done.notebook.cells[0].source
    assert "&lt;b&gt;" in done.notebook.cells[0].source
    assert [cell["index"] for cell in done.record["cells"]] == [0, 1, 2]
    assert done.error["cell_index"] == 1


@pytest.mark.slow
def test_marks_go_with_a_rerun_and_can_be_left_out(tmp_path: Path) -> None:
    done = run(tmp_path, ["1/0"])
    again = run(tmp_path, done.output, output="again.ipynb")
    assert marks(again.notebook) == [(0, "link"), (1, "anchor")]
    assert len(again.notebook.cells) == 3
    plain = run(tmp_path, done.output, "--no-error-cells", output="plain.ipynb")
    assert (plain.code, marks(plain.notebook), len(plain.notebook.cells)) == (10, [], 1)
    fine: Done = run(tmp_path, write(tmp_path / "fine.ipynb", ["1"]), output="fine-out.ipynb")
    assert marks(fine.notebook) == []


@pytest.mark.slow
def test_marks_in_a_large_notebook(tmp_path: Path) -> None:
    cells = ["print('x' * 3_000_000)"] * 8 + ["1/0"]
    done = run(tmp_path, cells)
    assert marks(done.notebook) == [(0, "link"), (9, "anchor")]
    assert len(json.dumps(done.cells[0])) > 2_000_000


def test_results_that_json_cannot_write_stay_numbers(tmp_path: Path) -> None:
    cell = """from nbstep_runner import result
import numpy
result('x', float('nan'))
result('y', [1.5, float('inf')])
result('z', {'low': -numpy.inf, 'all': numpy.array([numpy.nan, 2])})"""
    done = run(tmp_path, [cell, "%%capture\nresult('quiet', 3)"])
    nan, infinity, low = ({"$number": name} for name in ("NaN", "Infinity", "-Infinity"))
    assert done.record["results"] == {"x": nan, "y": [1.5, infinity], "z": {"low": low, "all": [nan, 2.0]}, "quiet": 3}
    shown = [output.data["text/plain"] for output in done.cells[0].outputs]
    assert shown == ["x = nan", "y = [1.5, inf]", "z = {'low': -inf, 'all': [nan, 2.0]}"]
