"""A cell whose code raised is failed, whatever its kernel's reply says; what output widgets take is theirs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from support.notebooks import Code
from support.runs import Done, run

STATE_MIME = "application/vnd.jupyter.widget-state+json"
SCRIPTS = {
    "raises": "raise ValueError('no')\n",
    "exits": "import sys; sys.exit(3)\n",
    "ends": "import sys; sys.exit(0)\n",
}
HANDLER = """
def handle(shell, kind, value, tb, tb_offset=None):
    print('handled', value)
get_ipython().set_custom_exc((Exception,), handle)
"""
RAISING = (
    "%run raises.py",
    "%run exits.py",
    "%run -m raises",
    "%run -i raises.py",
    "%%capture\n1/0",
    "get_ipython().run_cell('1/0')",
    "get_ipython().run_cell_magic('capture', '', '1/0')",
    "%time 1/0",
    "from IPython.display import clear_output\nget_ipython().run_cell('1/0')\nclear_output()",
    "try:\n    1/0\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()",
    "import ipywidgets\nwith ipywidgets.Output():\n    1/0",
    f"{HANDLER}",
    "1/0",
    "%%script missing-program\nputs 1",
    "import sys\nsys.stderr.close()\nprint('lost', file=sys.stderr)",
)
FINE = ("%run ends.py", "%run -e exits.py", "get_ipython().run_cell('import sys; sys.exit(0)')")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, source in SCRIPTS.items():
        (tmp_path / f"{name}.py").write_text(source)
    return tmp_path


@pytest.mark.fault(47)
@pytest.mark.parametrize(
    "options", [pytest.param((), id="slim"), pytest.param(("--stock-kernel",), id="stock", marks=pytest.mark.slow)]
)
def test_a_cell_that_raised_is_failed_whatever_the_reply_says(folder: Path, options: tuple[str, ...]) -> None:
    cells = [*FINE, *RAISING, Code("%run raises.py", tags=("raises-exception",))]
    done = run(folder, cells, "--allow-errors", *options, cwd=folder)
    states = dict(zip(map(str, cells), done.states, strict=True))
    failed = [cell for cell in RAISING if cell != HANDLER]
    assert done.code == 0
    assert {cell for cell, state in states.items() if state == "failed"} == set(failed)
    assert done.record["warnings"] == [f"{len(failed)} cells raised, which was allowed: their states are 'failed'"]


@pytest.mark.slow
@pytest.mark.fault(47)
@pytest.mark.parametrize(
    ("cell", "message"),
    [("%run raises.py", "cell 0 raised ValueError: no"), ("%run exits.py", "cell 0 raised SystemExit: 3")],
)
def test_it_ends_the_run_there(folder: Path, cell: str, message: str) -> None:
    done = run(folder, [f"{cell}\nprint('on')", "print('never')"], cwd=folder)
    assert (done.code, done.states) == (10, ["failed", "not_run"])
    assert (done.error["reference"], done.error["message"]) == ("cell-failed", message)
    assert done.text(0) == "on\n"
    assert any("raises.py" in line for line in done.error["traceback"]) == ("raises" in cell)


BAD_DISPLAY = "class Bad:\n    def _repr_html_(self): raise ValueError('no page')\nBad()"
TASKS = """
import asyncio
async def fail(number): raise ValueError(number)
async with asyncio.TaskGroup() as group:
    for number in range(2): group.create_task(fail(number))
"""


@pytest.mark.fault(47)
def test_a_group_of_errors_is_an_error_and_no_cell_has_that_of_another(tmp_path: Path) -> None:
    """IPython only prints a group, and a cell that awaits has the last error of one that did not."""
    gone = "import sys\nsys.stdout = sys.stderr = None"  # at the end the kernel has streams of its own
    cells = [
        TASKS,
        BAD_DISPLAY,
        "import asyncio\nawait asyncio.sleep(0)",
        "raise ExceptionGroup('all', [OSError(1)])",
        gone,
    ]
    done = run(tmp_path, cells, "--allow-errors")
    assert (done.code, done.states) == (0, ["failed", "failed", "succeeded", "failed", "succeeded"])
    shown = [[output.ename for output in cell.outputs if output.output_type == "error"] for cell in done.cells]
    assert shown == [["ExceptionGroup"], ["ValueError"], [], ["ExceptionGroup"], []]
    assert done.text(4) == ""
    assert "ValueError: 1" in "\n".join(done.cells[0].outputs[-1].traceback)


STRANGE = """
from IPython.display import display, update_display
print('kept')
display({'text/plain': 5, 'text/html': None, 'image/png': ['a', 1], 'application/json': float('nan')}, raw=True)
for identity in (['q'], {'a': 1}, 7, True):
    display('a', display_id=identity)
    update_display({'text/plain': ['x', {}]}, display_id=identity, raw=True)
kernel = get_ipython().kernel
def say(kind, content):
    kernel.session.send(kernel.iopub_socket, kind, content, parent=kernel.get_parent())
KEYS = ('name', 'text', 'data', 'metadata', 'transient', 'comm_id', 'execution_count', 'execution_state', 'target_name')
for kind in ('stream', 'display_data', 'execute_result', 'update_display_data', 'clear_output_', 'status',
             'execute_input', 'comm_open', 'comm_msg', 'comm_close'):
    for content in ({}, '[]', '7', 'null', 'no JSON', {key: [7] for key in KEYS}):
        say(kind, content)
say('execute_input', {'execution_count': -3})
print('still here')
"""


@pytest.mark.fault(48)
def test_wrong_types_leave_a_valid_notebook(tmp_path: Path) -> None:
    done = run(tmp_path, [STRANGE, "print('after')"])
    assert (done.code, done.states) == (0, ["succeeded", "succeeded"])
    assert "kept\n" in done.text(0)
    assert "still here\n" in done.text(0)
    nbformat.validate(nbformat.read(done.output, as_version=4))
    shown = [output.data["text/plain"] for output in done.notebook.cells[0].outputs if output.get("data")]
    assert shown[:2] == ["5", '["x",{}]']


FAULTY = """
import sys
from nbstep_runner.cli.main import main
from nbstep_runner.engine.recorder import Recorder
handle = Recorder.handle
def faulty(self, message):
    if "fault" in str(message.content.get("text")):
        raise RuntimeError("a fault of ours")
    handle(self, message)
Recorder.handle = faulty
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.fault(48)
def test_a_fault_of_ours_keeps_the_notebook_so_far(tmp_path: Path) -> None:
    cells = ["print('kept')", "print('fault')", "print('never')"]
    done = run(tmp_path, cells, command=(sys.executable, "-c", FAULTY))
    assert (done.code, done.states) == (70, ["succeeded", "failed", "not_run"])
    assert (done.error["reference"], done.error["message"]) == ("internal", "RuntimeError: a fault of ours")
    assert done.text(0) == "kept\n"
    assert any("in faulty" in line["message"] for line in done.log), "its traceback is in the log"


WIDGETS = """
import ipywidgets as widgets
from IPython.display import clear_output, display
print('important')
out, inner = widgets.Output(), widgets.Output()
display(out)
with out:
    print('to be cleared')
    clear_output()
    print('inside')
    with inner:
        print('innermost')
    display('a display')
@out.capture()
def captured():
    print('captured')
captured()
print('the cell again')
"""
INTERACT = """
for state in range(3):
    with inner:
        clear_output(wait=True)
        print('state', state)
@widgets.interact(x=3)
def square(x):
    print('square', x * x)
out.append_stdout('appended')
print(len(out.outputs))
"""


MASKED = """
import ipywidgets as widgets
out = widgets.Output()
with out:
    print(key[:4], end='', flush=True)
    print(key[4:])
    print('x' * 200_000)
"""


def widgets_of(done: Done) -> list[dict[str, Any]]:
    """The states of the output widgets, in the order of what they printed."""
    models = done.notebook.metadata.widgets[STATE_MIME]["state"].values()
    states = (model["state"] for model in models if model["model_name"] == "OutputModel")
    return sorted(states, key=text_of)


def text_of(state: dict[str, Any]) -> str:
    return "".join(output.get("text", "") for output in state["outputs"])


@pytest.mark.slow
@pytest.mark.fault(51)
@pytest.mark.parametrize("options", [(), ("--stock-kernel",)], ids=["slim", "stock"])
def test_output_widgets_keep_what_is_theirs(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, [WIDGETS, INTERACT], *options)
    assert done.code == 0, done.error
    assert done.text(0) == "important\nthe cell again\n"
    assert done.text(1) == "4\n", "the kernel's widget knows what it holds from the cell before"
    out, interactive, inner = widgets_of(done)
    assert text_of(out) == "inside\ncaptured\nappended"
    assert [output["output_type"] for output in out["outputs"]] == ["stream", "display_data", "stream"]
    assert text_of(inner) == "state 2\n"
    assert text_of(interactive) == "square 9\n"
    assert {state["msg_id"] for state in (out, inner, interactive)} == {""}
    logged = [line["message"] for line in done.log if line.get("stream") == "stdout"]
    assert {"inside", "innermost", "to be cleared", "state 0", "square 9"} <= set(logged), "the log has all of it"


@pytest.mark.slow
@pytest.mark.fault(51)
def test_what_a_widget_takes_is_masked_and_limited(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("key: {secret: 'env:WIDGET_SECRET'}")
    cells = [Code("key = ''", tags=("parameters",)), MASKED]
    secret = "5up3r-53cret-9f1c-77"  # noqa: S105 - what must not be readable afterwards
    done = run(
        tmp_path, cells, "-f", str(tmp_path / "p.yaml"), "--cell-output-limit", "50k", env={"WIDGET_SECRET": secret}
    )
    assert done.code == 0, done.error
    assert secret not in done.output.read_text() + done.stdout
    (state,) = widgets_of(done)
    assert text_of(state).startswith("***\n")
    assert len(json.dumps(state)) < 60_000


@pytest.mark.slow
def test_an_error_while_a_value_is_shown_is_told_by_its_name(tmp_path: Path) -> None:
    done = run(tmp_path, ["class R:\n    def _repr_html_(self):\n        1/0\nR()"])
    assert (done.code, done.states) == (10, ["failed"])
    assert done.error["message"] == "cell 0 raised ZeroDivisionError: division by zero"
