"""A papermill user changes one word: the flags, the tags, the metadata and the streams mean what they meant."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import nbformat
import pytest

from nbstep_runner.errors import ExitCode
from support.notebooks import Code, Text, notebook, write
from support.runs import RUNNER, Done, command, run

DECLARED = "a = 'default'\nb = 'default'\nc = 'default'\nd = 'default'\ne = 'default'\nf = 1"
SHOW = "from nbstep_runner import result\nfor name in 'abcdef': result(name, globals()[name])"
CELLS = [Code(DECLARED, tags=("parameters",)), SHOW]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_every_source_of_parameters_and_their_precedence(tmp_path: Path) -> None:
    (tmp_path / "positional.yaml").write_text("{a: positional, b: positional, c: positional}")
    (tmp_path / "file.yaml").write_text("{b: file, c: file, d: file}")
    done = run(
        tmp_path,
        CELLS,
        str(tmp_path / "positional.yaml"),
        *("-b", b64("{a: base64, f: 2}"), "-f", str(tmp_path / "file.yaml"), "-y", "{c: yaml, d: yaml, e: yaml}"),
        *("-p", "d", "typed", "-p", "f", "3", "-r", "e", "007"),
    )
    assert done.code == 0, done.error
    expected = {"a": "positional", "b": "file", "c": "yaml", "d": "typed", "e": "007", "f": 3}
    assert done.record["results"] == expected
    assert done.record["parameters"] == expected
    assert done.notebook.metadata.papermill.parameters == expected


def test_the_injected_cell_and_the_metadata(tmp_path: Path) -> None:
    done = run(tmp_path, ["'before'", *CELLS], "-p", "a", "new")
    tags = [cell.metadata.get("tags", []) for cell in done.notebook.cells]
    assert tags == [[], ["parameters"], ["injected-parameters"], []]
    assert 'a = "new"' in done.notebook.cells[2].source
    papermill = done.notebook.metadata.papermill
    assert (papermill.input_path, papermill.output_path) == (str(tmp_path / "in.ipynb"), str(done.output))
    assert papermill.version
    assert papermill.environment_variables == {}
    assert papermill.duration > 0
    assert papermill.start_time < papermill.end_time
    assert papermill.exception is None
    for cell in done.notebook.cells:
        assert cell.metadata.papermill.status == "completed"
        assert cell.metadata.papermill.exception is False


@pytest.mark.slow
def test_a_rerun_replaces_the_injected_cell(tmp_path: Path) -> None:
    first = run(tmp_path, CELLS, "-p", "a", "first")
    second = run(tmp_path, first.output, "-p", "b", "second", output="again.ipynb")
    assert second.code == 0
    tags = [cell.metadata.get("tags", []) for cell in second.notebook.cells]
    assert tags == [["parameters"], ["injected-parameters"], []]
    assert second.record["results"] == {
        "a": "default",
        "b": "second",
        "c": "default",
        "d": "default",
        "e": "default",
        "f": 1,
    }
    assert [cell.execution_count for cell in second.notebook.cells] == [1, 2, 3]


@pytest.mark.slow
def test_a_rerun_of_what_papermill_left_of_a_failure_has_none_of_its_markers(tmp_path: Path) -> None:
    source = write(tmp_path / "in.ipynb", [Code("divisor = 0", tags=("parameters",)), "print(1 / divisor)"])
    left = tmp_path / "left.ipynb"
    papermill = [sys.executable, "-m", "papermill", str(source), str(left)]
    assert subprocess.run(papermill, check=False, capture_output=True).returncode == 1
    assert left.read_text().count("papermill-error-cell-tag") == 2
    done = run(tmp_path, left, "-p", "divisor", "2")
    assert (done.code, [cell.cell_type for cell in done.notebook.cells]) == (0, ["code"] * 3)
    assert done.text(2) == "0.5\n"
    assert "papermill-error-cell" not in done.output.read_text()


@pytest.mark.slow
def test_an_unknown_parameter_is_an_error_with_a_suggestion_unless_allowed(tmp_path: Path) -> None:
    cells = [Code("learning_rate = 0.1", tags=("parameters",)), "print('ran')"]
    done = run(tmp_path, cells, "-p", "learnin_rate", "1")
    assert (done.code, done.error["reference"]) == (65, "bad-input")
    assert "learnin_rate" in done.error["message"]
    assert "learning_rate" in done.error["message"] + done.error["hint"]
    warned = run(tmp_path, cells, "-p", "learnin_rate", "1", "--unknown-parameters", "warn", output="w.ipynb")
    assert warned.code == 0
    assert "learnin_rate" in json.dumps(warned.shown()[0])
    ignored = run(tmp_path, cells, "-p", "x", "1", "--unknown-parameters", "ignore", "-q", output="i.ipynb")
    assert (ignored.code, ignored.stdout) == (0, "")


def test_paths_are_injected_on_request(tmp_path: Path) -> None:
    cells = [
        Code("PAPERMILL_INPUT_PATH = PAPERMILL_OUTPUT_PATH = None", tags=("parameters",)),
        "print(PAPERMILL_OUTPUT_PATH)",
    ]
    done = run(tmp_path, cells, "--inject-paths")
    assert (done.code, done.text(2)) == (0, f"{done.output}\n")


def test_paths_need_no_declaration_in_any_parameters_cell(tmp_path: Path) -> None:
    cells = [Code("a = 1", tags=("parameters",)), "print(PAPERMILL_INPUT_PATH == PAPERMILL_OUTPUT_PATH)"]
    done = run(tmp_path, cells, "--inject-paths")
    assert (done.code, done.text(2), done.record["warnings"]) == (0, "False\n", [])


def test_parameters_follow_text_that_is_tagged_as_with_papermill(tmp_path: Path) -> None:
    source = tmp_path / "in.ipynb"
    made = notebook([Text("# Parameters"), "print(a)"])
    made["cells"][0]["metadata"]["tags"] = ["parameters"]
    source.write_text(json.dumps(made))
    done = run(tmp_path, source, "-p", "a", "2")
    assert (done.code, done.text(2)) == (0, "2\n")
    assert "no code cell tagged 'parameters'" in done.record["warnings"][0]


@pytest.mark.slow
def test_the_output_names_the_kernel_that_ran(tmp_path: Path) -> None:
    source = write(tmp_path / "in.ipynb", ["1"], kernelspec={"name": "conda-env-team-py", "display_name": "team"})
    for options in ((), ("--prepare-only",)):
        done = run(tmp_path, source, "-k", "python3", *options, check=False, output=f"out{len(options)}.ipynb")
        assert done.code == 0
        assert done.notebook.metadata.kernelspec == {"name": "python3", "display_name": ANY, "language": "python"}


def test_a_set_by_default_stays_one(tmp_path: Path) -> None:
    done = run(tmp_path, [Code("x = {1}", tags=("parameters",)), "print(x)"], "-y", "x: [3, 3]")
    assert (done.code, done.text(2), done.record["parameters"]) == (0, "{3}\n", {"x": [3]})


def test_the_working_directory(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "helper.py").write_text("name = 'found'")
    done = run(tmp_path, ["import os, helper\nprint(os.getcwd(), helper.name)"], "--cwd", str(folder))
    assert (done.code, done.text(0)) == (0, f"{folder} found\n")


def test_prepare_only(tmp_path: Path) -> None:
    done = run(tmp_path, CELLS, "-p", "a", "new", "--prepare-only", check=False)  # it leaves no record
    assert done.code == 0
    assert [cell.metadata.get("tags", []) for cell in done.notebook.cells] == [
        ["parameters"],
        ["injected-parameters"],
        [],
    ]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in done.notebook.cells)


def test_report_mode_hides_the_code(tmp_path: Path) -> None:
    done = run(tmp_path, CELLS, "--report-mode", "-p", "a", "new")
    assert all(cell.metadata.jupyter.source_hidden for cell in done.notebook.cells)


def test_help_notebook(tmp_path: Path) -> None:
    source = "rate: float = 0.5  # learning rate\nname = 'x'"
    shown = command(str(write(tmp_path / "in.ipynb", [Code(source, tags=("parameters",))])), "--help-notebook")
    text = shown.stdout.decode()
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert re.search(r"rate: float \(default 0\.5\)\n\s+learning rate", text)
    assert re.search(r"name: .* \(default 'x'\)", text)


@pytest.mark.slow
def test_parameters_only_over_a_finished_run(tmp_path: Path) -> None:
    """The record spoke of the notebook that was there; one that was not run has none."""
    assert run(tmp_path, CELLS).code == 0
    place = tmp_path / "out.result.json"
    assert place.exists()
    done = command(str(tmp_path / "in.ipynb"), str(tmp_path / "out.ipynb"), "--prepare-only")
    assert done.returncode == 0, done.stdout
    assert not place.exists()
    assert nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[0].outputs == []
    again = run(tmp_path, CELLS)
    assert again.states == ["succeeded", "succeeded"]


@pytest.mark.slow
def test_standard_input_and_output(tmp_path: Path) -> None:
    data = json.dumps(notebook(["print('piped')"])).encode()
    for arguments in (("-", "-"), ()):
        done = command(*arguments, stdin=data)
        assert done.returncode == 0, done.stderr
        executed: Any = nbformat.reads(done.stdout.decode(), as_version=4)
        nbformat.validate(executed)
        assert executed.cells[0].outputs[0].text == "piped\n"
        assert b'"message":"piped"' in done.stderr
    done = command(str(tmp_path / "out.ipynb"), stdin=data)
    assert done.returncode == 0
    assert nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[0].outputs[0].text == "piped\n"


def test_a_failed_run_still_writes_its_notebook_to_standard_output() -> None:
    done = command("-", "-", stdin=json.dumps(notebook(["1/0"])).encode())
    assert done.returncode == 10
    assert nbformat.reads(done.stdout.decode(), as_version=4).cells[-1].outputs[0].ename == "ZeroDivisionError"


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "code"), [("print(1)", 75), ("1/0", 10)])
@pytest.mark.parametrize("options", [(), ("--prepare-only",)])
def test_a_reader_of_standard_output_that_is_gone(cell: str, code: int, options: tuple[str, ...]) -> None:
    """A verdict of the cells stays the first; the notebook that nobody took is told in one sentence."""
    reader, writer = os.pipe()
    os.close(reader)
    data = json.dumps(notebook([cell])).encode()
    done = subprocess.run(
        [*RUNNER, "-", "-", *options], input=data, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writer)
    log = done.stderr.decode()
    assert done.returncode == (75 if options else code), log
    assert "the notebook could not be written to standard output: Broken pipe" in log
    assert [json.loads(line)["severity"] for line in log.splitlines()][-1] == "ERROR", "not one line after another"
    assert "fault of nbstep" not in log


def test_files_for_what_the_notebook_prints(tmp_path: Path) -> None:
    out, err = tmp_path / "stdout.txt", tmp_path / "stderr.txt"
    cell = "import sys\nprint('to out')\nprint('to err', file=sys.stderr)"
    done = run(tmp_path, [cell], "--stdout-file", str(out), "--stderr-file", str(err))
    assert (done.code, out.read_text(), err.read_text()) == (0, "to out\n", "to err\n")


def test_papermills_other_flags_are_accepted(tmp_path: Path) -> None:
    flags = ("--engine", "nbclient", "--no-progress-bar", "--log-output", "--log-level", "INFO")
    done = run(tmp_path, ["print(1)"], *flags, "--start_timeout", "30", "--autosave-cell-every", "5")
    assert done.code == 0


def test_options_may_come_from_the_environment(tmp_path: Path) -> None:
    done = run(tmp_path, ["1/0", "print('on')"], env={"NBSTEP_ALLOW_ERRORS": "1", "NBSTEP_RUN_ID": "from-environment"})
    assert (done.code, done.record["run_id"]) == (0, "from-environment")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "Missing argument 'INPUT'"),
        (("in.ipynb", "out.ipynb", "--no-such-flag"), "No such option"),
        (("in.ipynb", "out.ipynb", "--execution-timeout", "soon"), "not a valid float"),
        (("in.ipynb", "out.ipynb", "--execution-timeout", "-1"), "range"),
        (("in.ipynb", "out.ipynb", "--cell-output-limit", "many"), "not a size"),
        (("in.ipynb", "out.ipynb", "--label", "x"), "KEY=VALUE"),
        (("in.ipynb", "out.ipynb", "--cwd", "/nowhere"), "does not exist"),
        (("in.ipynb", "out.ipynb", "params.yaml", "extra"), "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line(tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    done = command(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert reason in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


def test_a_base64_parameter_that_is_none(tmp_path: Path) -> None:
    done = command(str(write(tmp_path / "in.ipynb", ["1"])), str(tmp_path / "out.ipynb"), "-b", "!!!")
    assert done.returncode == 65
    assert done.stderr.decode().startswith("nbstep-runner: a base64 parameter cannot be decoded")


def test_help_and_version_start_no_kernel() -> None:
    shown = command("--help")
    assert shown.returncode == 0
    text = shown.stdout.decode().split("\nParameters:")[0]
    documented = {int(number) for number in re.findall(r"\b\d+\b", text)}
    assert documented == set(ExitCode)
    assert re.search(r"nbstep-runner, version \d", command("--version").stdout.decode())


def html_of(done: Done) -> str:
    return done.place.with_suffix(".html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("last", "code"), [("print('last')", 0), ("1/0", 10)])
def test_html(tmp_path: Path, last: str, code: int) -> None:
    cells = [
        Code("print('kept')"),
        Code("print('xyz' + 'zy')", tags=("remove-cell",)),
        Code("print('shown ' + 'output')", tags=("remove-input",)),
        "from IPython.display import HTML\nHTML('<script>alert(1)</script>')",
        last,
    ]
    done = run(tmp_path, cells, "--html")
    page = html_of(done)
    assert (done.code, done.record["html_uri"]) == (code, str(done.place) + ".html")
    assert "kept" in page
    assert "xyzzy" not in page
    assert "shown output" in page
    assert "shown '" not in page
    assert ("ZeroDivisionError" in page) == (code == 10)
    assert re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]*"', page) == []


def test_a_platform_that_asks_for_traces_of_an_image_without_their_packages(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry.py").write_text("raise ImportError('not in this image')")
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "PYTHONPATH": str(tmp_path)}
    done = run(tmp_path, ["print('on')"], env=environment)
    assert (done.code, done.text(0)) == (0, "on\n")
    (warning,) = done.record["warnings"]
    assert "no trace is sent" in warning
    assert "pip install 'nbstep[trace]'" in warning
    assert [line["message"] for line in done.log if line["severity"] == "WARNING"] == [warning]


def test_the_termination_message(tmp_path: Path) -> None:
    place = tmp_path / "termination-log"
    place.touch()
    done = run(
        tmp_path,
        ["from nbstep_runner import result\nresult('auc', 0.75)", "1/0"],
        env={"NBSTEP_TERMINATION_LOG": str(place)},
    )
    message = json.loads(place.read_text())
    assert (done.code, message["exit_code"], message["state"]) == (10, 10, "failed")
    assert message["results"] == {"auc": 0.75}
    assert message["error"] == {
        "reference": "cell-failed",
        "message": "cell 1 raised ZeroDivisionError: division by zero",
    }


@pytest.mark.parametrize(
    ("arguments", "code", "reference", "reason"),
    [
        (("--spec", "absent.json"), 66, "input-not-found", "absent.json"),
        pytest.param(("--spec", "torn.json"), 65, "bad-input", "", marks=pytest.mark.slow),
        (("in.ipynb", "out.ipynb", "--execution-timeout", "soon"), 2, "usage", "'soon' is not a valid float"),
    ],
)
def test_the_termination_message_of_what_never_became_a_run(
    tmp_path: Path, arguments: tuple[str, ...], code: int, reference: str, reason: str
) -> None:
    """There is no record then: Kubernetes shows why nevertheless."""
    place = tmp_path / "termination-log"
    place.touch()
    (tmp_path / "torn.json").write_text('{"run_id":')
    done = command(*arguments, cwd=tmp_path, env=os.environ | {"NBSTEP_TERMINATION_LOG": str(place)})
    message = json.loads(place.read_text())
    assert (done.returncode, message["exit_code"], message["state"]) == (code, code, "failed")
    assert message["error"]["reference"] == reference
    assert reason in message["error"]["message"]
    assert message["error"]["message"] in done.stderr.decode()


def test_a_users_own_modules_are_not_shadowed(tmp_path: Path) -> None:
    for name in ("errors", "session", "engine", "contract", "stores", "sinks"):
        (tmp_path / f"{name}.py").write_text("mine = True")
    done = run(tmp_path, ["import errors, session, engine, contract, stores, sinks\nprint(engine.mine)"], cwd=tmp_path)
    assert (done.code, done.text(0)) == (0, "True\n")
