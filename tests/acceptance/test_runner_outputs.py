"""Outputs of every kind arrive in the executed notebook, in the cell that made them, and in the log as they come."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from support import processes
from support.notebooks import Code, Text, write
from support.runs import RUNNER, Done, run, start

STREAMS = """
import sys
print('one')
print('two', flush=True)
print('three', file=sys.stderr, flush=True)
print('four')
"""
SUBPROCESSES = """
import os, subprocess
os.system('echo from the shell')
subprocess.run(['sh', '-c', 'echo to stderr >&2; printf "bytes \\\\377 \\\\303\\\\244\\\\n"'])
os.write(1, 'past Python ä\\n'.encode())
"""
LATE = """
import asyncio, threading, time
def in_a_thread():
    time.sleep(0.2)
    print('from a thread')
async def in_a_task():
    await asyncio.sleep(0.4)
    print('from a task')
threading.Thread(target=in_a_thread).start()
task = asyncio.create_task(in_a_task())
print('begun')
"""
DISPLAY = """
from IPython.display import display, clear_output, HTML
handle = display('first', display_id=True)
display(HTML('<b>bold</b>'))
"""
UPDATE = "handle.update('second')\n6 * 7"
CLEAR = """
for step in range(3):
    clear_output(wait=True)
    print('step', step)
"""
WIDGET = """
from comm import create_comm
comm = create_comm(
    target_name='jupyter.widget',
    data={
        'state': {'_model_name': 'IntProgressModel', '_model_module': '@jupyter-widgets/controls', 'value': 0},
        'buffer_paths': [['raw']],
    },
    buffers=[b'abc'],
    metadata={'version': '2.1.0'},
)
comm.send({'method': 'update', 'state': {'value': 7}, 'buffer_paths': []})
"""
RESULTS = """
from IPython.display import publish_display_data
from nbstep_runner import result
result('rmse', 0.25)
result('name', '12')
result('shape', {'rows': [1, 2], 'ok': True, 'none': None})
result('rmse', 0.125)
data = {'name': 'glued', 'data': [1, 2.5], 'encoder': 'json', 'version': 1}
publish_display_data({'application/scrapbook.scrap.json+json': data})
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """One run with a cell for each kind of output."""
    cells = [
        Text("# Outputs"),
        STREAMS,
        SUBPROCESSES,
        LATE,
        "await asyncio.sleep(0.8)\nprint('second')",
        DISPLAY,
        UPDATE,
        CLEAR,
        WIDGET,
        RESULTS,
        "",
    ]
    return run(tmp_path_factory.mktemp("outputs"), cells, "--run-id", "outputs", "--label", "team=flights")


def plain(outputs: list[Any]) -> list[str]:
    return [output["data"]["text/plain"] for output in outputs if "data" in output]


def test_the_run_succeeded(done: Done) -> None:
    assert (done.code, done.stderr) == (0, "")
    assert set(done.states) == {"succeeded"}
    assert (done.record["run_id"], done.record["labels"]) == ("outputs", {"team": "flights"})
    assert done.record["environment"]["kernel"] == "python3"


def test_streams_are_joined(done: Done) -> None:
    streams = [(output.name, output.text) for output in done.cells[1].outputs]
    assert streams == [("stdout", "one\ntwo\n"), ("stderr", "three\n"), ("stdout", "four\n")]


@pytest.mark.fault(33)
def test_what_subprocesses_print_is_kept_and_attributed(done: Done) -> None:
    assert done.text(2) == "from the shell\nbytes \\xff ä\npast Python ä\n"
    assert done.text(2, "stderr") == "to stderr\n"


@pytest.mark.fault(33)
def test_what_is_printed_after_the_end_of_its_cell_is_kept_and_attributed(done: Done) -> None:
    """To the cell that the kernel names: of a task the one that made it, of a thread the one that runs."""
    assert done.text(3) == "begun\nfrom a task\n"
    assert done.text(4) == "from a thread\nsecond\n"
    cells = {line["message"]: line["cell"] for line in done.log if line["message"].startswith("from a t")}
    assert cells == {"from a task": {"index": 3, "id": "cell-3"}, "from a thread": {"index": 4, "id": "cell-4"}}


def test_displays_are_updated_from_later_cells(done: Done) -> None:
    assert plain(done.cells[5].outputs) == ["'second'", "<IPython.core.display.HTML object>"]
    assert done.cells[5].outputs[1].data["text/html"] == "<b>bold</b>"
    assert all("transient" not in output for output in done.cells[5].outputs)
    assert [output.output_type for output in done.cells[6].outputs] == ["execute_result"]
    assert done.cells[6].outputs[0].execution_count == done.cells[6].execution_count


def test_a_cleared_output_leaves_the_last_state(done: Done) -> None:
    """In the log too, which shows the first one at once, and then at most one a second."""
    assert done.text(7) == "step 2\n"
    logged = [line["message"] for line in done.log if line.get("cell", {}).get("index") == 7 and "stream" in line]
    assert (logged[0], logged[-1]) == ("step 0", "step 2")


def test_the_state_of_widgets_is_kept(done: Done) -> None:
    (saved,) = done.notebook.metadata.widgets.values()
    (model,) = saved["state"].values()
    assert (saved["version_major"], saved["version_minor"]) == (2, 0)
    assert model["model_name"] == "IntProgressModel"
    assert model["state"]["value"] == 7
    assert model["buffers"] == [{"data": "YWJj", "encoding": "base64", "path": ["raw"]}]


def test_results_are_in_the_record_with_their_types(done: Done) -> None:
    assert done.record["results"] == {
        "rmse": 0.125,
        "name": "12",
        "shape": {"rows": [1, 2], "ok": True, "none": None},
        "glued": [1, 2.5],
    }


def test_what_exit_handlers_and_the_end_of_objects_print_is_kept(tmp_path: Path) -> None:
    cell = """
import atexit, threading, time
class Held:
    def __del__(self):
        print('deleted')
held = Held()
atexit.register(print, 'handled')
def work():
    time.sleep(0.2)
    print('worked')
threading.Thread(target=work).start()
"""
    done = run(tmp_path, [cell])
    assert done.text(0) == "worked\nhandled\ndeleted\n"


@pytest.mark.parametrize("options", [(), ("--stock-kernel",)], ids=["slim", "stock"])
def test_results_of_forked_children_are_in_the_record(tmp_path: Path, options: tuple[str, ...]) -> None:
    cell = """
import multiprocessing, os
from nbstep_runner import result
if os.fork() == 0:
    result('forked', 1)
    os._exit(0)
os.wait()
def work(number):
    print(number)
    result(f'square of {number}', number * number)
with multiprocessing.get_context('fork').Pool(2) as pool:
    pool.map(work, [2, 3])
result('own', 0)
"""
    done = run(tmp_path, [cell, "print('on')"], *options)
    assert done.record["results"] == {"forked": 1, "square of 2": 4, "square of 3": 9, "own": 0}
    assert done.text(1) == "on\n"


def test_each_cell_has_its_times_and_figures(done: Done) -> None:
    record = done.record["cells"][3]
    assert record["index"] == 4
    assert record["seconds"] == pytest.approx(0.8, abs=0.3)
    assert record["peak_memory_bytes"] > 20 * 2**20
    cell = done.cells[4]
    times = [
        cell.metadata.execution[name] for name in ("iopub.status.busy", "iopub.execute_input", "iopub.status.idle")
    ]
    assert times == sorted(times)
    assert cell.metadata.papermill.start_time < cell.metadata.papermill.end_time
    assert cell.metadata.papermill.duration == record["seconds"]
    assert done.cells[0].metadata.papermill.status == "completed"


def test_the_log_is_whole_in_order_and_readable_line_by_line(done: Done) -> None:
    assert done.shown() == done.log
    assert [line["seq"] for line in done.log] == list(range(1, len(done.log) + 1))
    assert all(earlier["time"] <= later["time"] for earlier, later in pairwise(done.log))
    assert {line["run_id"] for line in done.log} == {"outputs"}
    assert done.log[-1]["event"] == "run-finished"
    messages = [line["message"] for line in done.log if line.get("cell", {}).get("index") == 1 and "stream" in line]
    assert messages == ["one", "two", "three", "four"]


@pytest.mark.slow
def test_text_is_in_the_log_while_its_cell_still_runs(tmp_path: Path) -> None:
    """The promise is 100 ms; the bound here leaves room for a loaded machine."""
    cell = "import time\nfor i in range(3):\n    print('printed at', time.time())\n    time.sleep(0.5)"
    delays = []
    with start(tmp_path, [cell, "import time\nprint('half a line', end='')\ntime.sleep(1)"]) as running:
        for line in lines_as_they_come(running):
            if line["message"].startswith("printed at"):
                delays.append(line["seen"] - float(line["message"].split()[-1]))
            if line["message"] == "half a line":
                assert line["seen"] - line["cell_started"] < 0.8
        done = running.finish(30)
    assert done.code == 0
    assert len(delays) == 3
    assert max(delays) < 0.4


def lines_as_they_come(running: Any) -> Iterator[dict[str, Any]]:
    """Each line of the log's stream, with the moments at which it and its cell's start were seen."""
    shown, cell_started = 0, 0.0
    while running.process.poll() is None:
        lines = running.shown.splitlines()
        for text in lines[shown:]:
            try:
                line = json.loads(text)
            except ValueError:
                break
            shown += 1
            now = time.time()
            cell_started = now if line.get("event") == "cell-started" else cell_started
            yield line | {"seen": now, "cell_started": cell_started}
        time.sleep(0.005)


def printed(done: Done) -> list[str]:
    """The lines in the log; one whose start was shown before its end had come is put together again."""
    lines: list[str] = []
    for line in done.log:
        if line.get("stream") == "stdout":
            start = lines.pop() if line.get("continues") else ""
            lines.append(start + line["message"])
    return lines


def limited(tmp_path: Path, cell: str, *options: str, **how: Any) -> Done:
    return run(tmp_path, [cell], "--cell-output-limit", "10k", *options, **how)


@pytest.mark.fault(31)
def test_output_past_the_limit_keeps_head_and_tail_and_says_so(tmp_path: Path) -> None:
    done = limited(tmp_path, "for i in range(5000): print('line', i)")
    assert (done.code, done.states) == (0, ["succeeded"])
    text = done.text(0)
    assert text.startswith("line 0\nline 1\n")
    assert text.endswith("line 4999\n")
    assert len(text) < 11_000
    assert f"characters are left out here; {done.place.with_suffix('.log.jsonl')} has all of it]" in text
    logged = printed(done)
    assert logged == [f"line {i}" for i in range(5000)]
    assert done.record["cells"][0]["output_bytes"] == sum(len(line) + 1 for line in logged)


@pytest.mark.fault(31)
def test_a_display_past_the_limit_is_named_in_the_notebook_and_whole_in_the_log(tmp_path: Path) -> None:
    cell = "from IPython.display import display, HTML\ndisplay(HTML('<p>' + 'x' * 20_000 + '</p>'))\nprint('on')\n1/0"
    done = limited(tmp_path, cell)
    assert done.code == 10
    assert "is left out here" in done.text(0, "stderr")
    assert done.text(0) == "on\n"
    assert done.cells[0].outputs[-1].ename == "ZeroDivisionError"
    whole = [line for line in done.log if "x" * 20_000 in json.dumps(line)]
    assert len(whole) == 1


@pytest.mark.slow
@pytest.mark.fault(31)
def test_a_huge_print_does_not_grow_the_runner(tmp_path: Path) -> None:
    cell = "line = 'x' * 99\nfor i in range(200): print('\\n'.join([line] * 10_000))"
    done = run(tmp_path, [cell], "--cell-output-limit", "1M", "--quiet", seconds=60)
    assert (done.code, done.states) == (0, ["succeeded"])
    assert done.record["cells"][0]["output_bytes"] == 200_000_000
    assert done.output.stat().st_size < 2 * 2**20
    assert done.place.with_suffix(".log.jsonl").stat().st_size > 200_000_000
    assert done.memory < 256 * 2**20


@pytest.mark.slow
@pytest.mark.fault(52)
@pytest.mark.parametrize(
    "cell",
    ["import os\nassert os.system('head -c 20000000 /dev/zero') == 0", "!head -c 20000000 /dev/zero"],
    ids=["native", "command"],
)
def test_bytes_that_are_no_text_cost_no_memory_and_are_all_in_the_log(tmp_path: Path, cell: str) -> None:
    done = run(tmp_path, [cell], "--quiet", seconds=120)
    assert (done.code, done.record["cells"][0]["output_bytes"]) == (0, 20_000_000)
    assert done.place.with_suffix(".log.jsonl").read_bytes().count(rb"\\x00") == 20_000_000
    assert done.output.stat().st_size < 6 * 2**20
    assert done.memory < 110 * 2**20


@pytest.mark.slow
@pytest.mark.fault(52)
def test_what_a_running_cell_shows_is_on_disk_and_not_in_memory(tmp_path: Path) -> None:
    """80 MB of images."""
    cell = """
import base64, os
from IPython.display import display
for _ in range(12):
    display({'image/png': base64.b64encode(os.urandom(5_000_000)).decode()}, raw=True)
"""
    done = run(tmp_path, [cell], "--quiet", "--cell-output-limit", "1G", seconds=120)
    assert (done.code, len(done.notebook.cells[0].outputs)) == (0, 12)
    assert done.output.stat().st_size > 80_000_000
    assert done.memory < 115 * 2**20


@pytest.mark.fault(52)
def test_updates_of_displays_are_limited_and_the_log_has_them(tmp_path: Path) -> None:
    cell = "handle = display('x', display_id=True)\nhandle.update({'text/plain': 'y' * 2_000_000}, raw=True)"
    done = run(tmp_path, [cell] * 3, "--quiet", "--cell-output-limit", "1M")
    assert (done.code, done.output.stat().st_size < 2**20) == (0, True)
    assert "left out here" in json.dumps(done.notebook.cells[0].outputs)
    assert done.place.with_suffix(".log.jsonl").stat().st_size > 6_000_000


@pytest.mark.fault(31)
def test_a_notebook_has_a_limit_of_its_own(tmp_path: Path) -> None:
    cells = ["print('x' * 4000)"] * 5
    done = run(tmp_path, cells, "--notebook-output-limit", "10k")
    assert done.code == 0
    assert sum(len(json.dumps(cell.outputs)) for cell in done.notebook.cells) < 12_000
    assert "left out here" in json.dumps(done.cells[4].outputs)


@pytest.mark.slow
@pytest.mark.fault(32)
def test_a_log_that_nobody_reads_does_not_hold_up_the_run(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    cell = "for i in range(10): print('\\n'.join(['x' * 99] * 20_000))"
    with start(tmp_path, [cell, "print('end')"], stdout=writer) as running:
        os.close(writer)
        done = running.finish(60)
    os.close(reader)
    assert (done.code, done.states) == (0, ["succeeded", "succeeded"])
    assert done.place.with_suffix(".log.jsonl").read_bytes().count(b"x") > 200_000 * 99


@pytest.mark.fault(32)
def test_a_reader_that_comes_late_gets_every_line(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    cell = "print('\\n'.join(['x' * 99] * 100_000))"
    with start(tmp_path, [cell], stdout=writer) as running, os.fdopen(reader, "rb") as stream:
        os.close(writer)
        assert processes.until((tmp_path / "out.log.jsonl").exists, 60)
        read = stream.read()
        done = running.finish(30)
    assert done.code == 0
    assert read == done.place.with_suffix(".log.jsonl").read_bytes()
    assert len(read) > 100_000 * 99


@pytest.mark.fault(32)
def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with start(tmp_path, ["print('x')", "print('end')"], stdout=writer) as running:
        os.close(writer)
        done = running.finish(30)
    assert (done.code, done.stderr, done.states) == (0, "", ["succeeded", "succeeded"])


def test_closed_standard_streams_change_no_verdict(tmp_path: Path) -> None:
    source = write(tmp_path / "in.ipynb", ["import os\nos.system('echo shell')\nprint('printed')", "1/0"])
    command = f'exec {RUNNER[0]} "{source}" "{tmp_path / "out.ipynb"}" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 10
    assert "printed" in (tmp_path / "out.ipynb").read_text()


@pytest.mark.slow
def test_a_copy_of_the_record_that_cannot_be_written_changes_no_verdict(tmp_path: Path) -> None:
    place = tmp_path / "nowhere" / "record.json"
    done = run(tmp_path, ["1"], "--record-file", str(place))
    assert done.code == 0
    assert done.stderr == f"nbstep-runner: the record cannot be copied to {place}: No such file or directory\n"
    copied = run(tmp_path, ["1/0"], "--record-file", str(tmp_path / "record.json"))
    assert (copied.code, json.loads((tmp_path / "record.json").read_bytes())) == (10, copied.record)


@pytest.mark.slow
@pytest.mark.fault(41)
def test_output_can_forge_no_line_and_drive_no_terminal(tmp_path: Path) -> None:
    forged = '{"severity":"ERROR","event":"run-finished","exit_code":0}'
    cell = f"print('{forged}')\nprint('\\x1b]0;title\\x07\\x1b[2Jgone \\u202etxt.exe \\x9b31m')"
    done = run(tmp_path, [cell])
    (line,) = [line for line in done.log if forged in line["message"]]
    assert (line["stream"], line["severity"], line.get("event")) == ("stdout", "INFO", None)
    assert [line["event"] for line in done.log if line.get("exit_code") == 0] == ["run-finished"]
    assert not any(character in done.stdout for character in "\x1b\x07\u202e\x9b")
    console = run(tmp_path, [cell], "--log-format", "console", "--run-id", "console", output="console.ipynb")
    assert not any(character in console.stdout for character in "\x1b\x07\u202e\x9b")
    assert "gone" in console.stdout


def test_bare_cells_of_the_notebook_itself_are_kept(tmp_path: Path) -> None:
    cells = [Text("Some text"), Code("x = 1", metadata={"custom": {"kept": [1]}, "collapsed": True})]
    done = run(tmp_path, cells)
    assert done.cells[0].source == "Some text"
    assert done.cells[1].metadata.custom == {"kept": [1]}
    assert [cell.id for cell in done.notebook.cells] == ["cell-0", "cell-1"]


@pytest.mark.slow
@pytest.mark.parametrize("levels", [500, 980, 5_000])
def test_an_output_nested_too_deeply_is_declared_and_ends_nothing(tmp_path: Path, levels: int) -> None:
    """Most readers of JSON give up at some 1,000 levels, and so would those of the executed notebook."""
    deep = f"import sys\nfrom IPython.display import JSON, display\nsys.setrecursionlimit(100_000)\nlevels = {levels}\n"
    cell = deep + "value = []\nfor _ in range(levels): value = [value]\ndisplay(JSON({'value': value}))\nprint('on')"
    done = run(tmp_path, [cell, "print('next')"])
    assert (done.code, done.states) == (0, ["succeeded", "succeeded"])
    note = "[nbstep: what is nested more than 200 levels deep is left out here]"
    assert plain(done.cells[0].outputs) == [note]
    assert done.text(0) == "on\n"
