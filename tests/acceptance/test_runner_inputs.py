"""Input that is not what it should be is refused before any cell, with one line of reason and no traceback."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.notebooks import Code, notebook, write
from support.runs import Done, command, run

VALID = json.dumps(notebook(["print(1)"]))
NO_CELLS = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}}


def refused(done: Done, *reasons: str) -> None:
    """The run ended with 65 in one understandable line, and ran nothing."""
    assert (done.code, done.stderr) == (65, "")
    assert done.error["reference"] == "bad-input"
    assert any(reason in done.error["message"] for reason in reasons), done.error["message"]
    assert "\n" not in done.error["message"]
    assert "Traceback" not in done.stdout
    assert done.states == []
    assert not done.output.exists()


@pytest.mark.slow
@pytest.mark.fault(30)
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the notebook is empty"),
        (b" \n", "the notebook is empty"),
        (VALID[: len(VALID) // 2].encode(), "not valid JSON"),
        (b"\xef\xbb\xbf" + VALID.encode(), "byte order mark"),
        (VALID.encode("utf-16"), "byte order mark"),
        (VALID.replace("print(1)", "größe").encode("latin-1"), "UTF-8"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "is HTML or XML"),
        (b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"[]", "not a JSON object"),
        (b"{}", "no 'nbformat' number"),
        (json.dumps(NO_CELLS).encode(), "no list of 'cells'"),
        (json.dumps(NO_CELLS | {"cells": [], "nbformat": 99}).encode(), "format 99 is not known"),
        (json.dumps(NO_CELLS | {"cells": [{"source": "1"}]}).encode(), "cell 0, key 'cell_type'"),
        (json.dumps(NO_CELLS | {"cells": [{"cell_type": "code", "source": 1}]}).encode(), "cell 0, key 'source'"),
        (json.dumps(NO_CELLS | {"cells": "none"}).encode(), "no list of 'cells'"),
        (gzip.compress(VALID.encode()), "not"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_notebook_that_is_none(tmp_path: Path, data: bytes, reason: str) -> None:
    source = tmp_path / "in.ipynb"
    source.write_bytes(data)
    refused(run(tmp_path, source), reason)


@pytest.mark.fault(57)
def test_a_notebook_that_breaks_its_format_without_harm_runs_with_one_warning(tmp_path: Path) -> None:
    source = tmp_path / "in.ipynb"
    cells = [
        {"cell_type": "markdown", "id": "a", "source": "text", "outputs": []},
        {"cell_type": "code", "id": "a", "metadata": {"tags": "parameters"}, "source": ["n = 1"], "transient": {}},
        {
            "cell_type": "code",
            "source": "print(n)",
            "outputs": [{"output_type": "odd"}],
            "metadata": {"x": float("nan")},
        },
    ]
    metadata = {"kernelspec": {"name": "python", "language": 5}, "language_info": {}}
    source.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}))
    done = run(tmp_path, source, "-p", "n", "2")
    assert (done.code, done.stderr) == (0, "")
    assert done.text(-1) == "2\n"
    (warning,) = done.record["warnings"]
    assert all(place in warning for place in ("the notebook: ", "cell 0", "cell 1", "cell 2"))
    assert [line["message"] for line in done.shown() if line["severity"] == "WARNING"] == [warning]


@pytest.mark.fault(57)
def test_a_notebook_of_format_3_runs(tmp_path: Path) -> None:
    source = tmp_path / "in.ipynb"
    heading = {"cell_type": "heading", "level": 1, "metadata": {}, "source": ["Title"]}
    code = {"cell_type": "code", "input": ["x = 1\n", "print(x)"], "language": "python", "metadata": {}, "outputs": []}
    sheet = {"cells": [heading, code], "metadata": {}}
    source.write_text(json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [sheet]}))
    done = run(tmp_path, source)
    assert (done.code, done.stderr, done.record["warnings"]) == (0, "", [])
    assert (done.notebook.cells[0].source, done.text(1)) == ("# Title", "1\n")


@pytest.mark.fault(30)
def test_a_notebook_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, tmp_path / "missing.ipynb")
    assert (done.code, done.error["reference"]) == (66, "input-not-found")
    assert "missing.ipynb" in done.error["message"]


@pytest.mark.slow
@pytest.mark.fault(30)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- 1\n- 2\n", "holds a list, not parameters"),
        ("just text\n", "holds a single value, not parameters"),
        ("rate: [1, 2\n", "YAML"),
        ("rate: 1\nrate: 2\n", "rate"),
        ("rate: !!python/object/apply:os.system ['touch executed']\n", "tag"),
    ],
)
def test_parameters_that_are_none(tmp_path: Path, text: str, reason: str) -> None:
    parameters = tmp_path / "params.yaml"
    parameters.write_text(text)
    done = run(tmp_path, [Code("rate = 1", tags=("parameters",))], str(parameters), cwd=tmp_path)
    refused(done, reason, reason.lower(), reason.capitalize())
    assert not (tmp_path / "executed").exists()


@pytest.mark.slow
@pytest.mark.fault(30)
def test_a_parameters_file_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, ["1"], str(tmp_path / "missing.yaml"))
    assert (done.code, done.error["reference"]) == (66, "input-not-found")


@pytest.mark.slow
@pytest.mark.fault(34)
@pytest.mark.parametrize(
    "name",
    [
        "x=1; import os; os.mkdir('executed'); y",
        "x\nimport os; os.mkdir('executed')\ny",
        "class",
        "None",
        "1x",
        "a.b",
        "",
    ],
)
def test_a_parameters_name_is_never_code(tmp_path: Path, name: str) -> None:
    done = run(
        tmp_path,
        [Code("rate = 1", tags=("parameters",))],
        "-y",
        json.dumps({name: 1}),
        "--unknown-parameters",
        "ignore",
        cwd=tmp_path,
    )
    refused(done, "name", "identifier", "reserved word")
    assert not (tmp_path / "executed").exists()


@pytest.mark.fault(34)
def test_a_parameters_value_is_never_code(tmp_path: Path) -> None:
    nasty = "'''\"\"\"\\'; import os; os.mkdir('executed')\n#{rate}\x00\u2028\udcff"[:-1]
    (tmp_path / "params.yaml").write_text(json.dumps({"text": nasty}))
    cells = [Code("text = ''", tags=("parameters",)), "from nbstep_runner import result\nresult('text', text)"]
    done = run(tmp_path, cells, str(tmp_path / "params.yaml"), cwd=tmp_path)
    assert done.code == 0, done.error
    assert done.record["results"]["text"] == nasty
    assert not (tmp_path / "executed").exists()


def bomb() -> str:
    return "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
    )


@pytest.mark.slow
@pytest.mark.fault(36)
@pytest.mark.parametrize(
    "text",
    [bomb, lambda: "a: " * 100_000 + "1", lambda: "[" * 100_000, lambda: "a: " + "9" * 5_000_000],
    ids=["aliases", "keys", "depth", "size"],
)
def test_bombs_of_parameters_are_refused_at_once(tmp_path: Path, text: Callable[[], str]) -> None:
    parameters = tmp_path / "params.yaml"
    parameters.write_text(text())
    began = time.monotonic()
    done = run(tmp_path, ["1"], str(parameters), "--unknown-parameters", "ignore", seconds=30)
    refused(done, "")
    assert done.record["seconds"] < 10
    assert time.monotonic() - began < 20
    assert done.memory < 256 * 2**20


@pytest.mark.fault(36)
def test_a_notebook_of_too_many_cells_is_refused_at_once(tmp_path: Path) -> None:
    source = tmp_path / "in.ipynb"
    source.write_text('{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":[' + "{}," * 100_001 + "{}]}")
    done = run(tmp_path, source)
    refused(done, "more than 100,000 cells")
    assert done.record["seconds"] < 10


@pytest.mark.slow
@pytest.mark.fault(38)
@pytest.mark.parametrize(
    "uri",
    [
        "simplecache::s3://bucket/key",
        "file:out.ipynb",
        "{secret}.ipynb",
        "gs://bucket/../other/out.ipynb",
        "nosuch://x/y",
    ],
)
@pytest.mark.parametrize("place", ["input", "output"])
def test_names_that_smuggle_are_refused(tmp_path: Path, uri: str, place: str) -> None:
    good = write(tmp_path / "in.ipynb", ["open('executed', 'w').close()"])
    arguments = [uri, "out.ipynb"] if place == "input" else [str(good), uri]
    done = subprocess.run(
        ["nbstep-runner", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 65, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "executed").exists()


@pytest.mark.fault(38)
@pytest.mark.parametrize("target", ["elsewhere.ipynb", pytest.param("/etc/hostname", marks=pytest.mark.slow)])
def test_a_symbolic_link_as_output_is_refused_before_the_first_cell(tmp_path: Path, target: str) -> None:
    (tmp_path / "out.ipynb").symlink_to(target)
    marker = tmp_path / "cell-was-run"
    done = run(tmp_path, [f"open({str(marker)!r}, 'w').close()"], check=False)
    assert (done.code, marker.exists()) == (65, False)
    assert "symbolic link" in done.stdout
    assert os.readlink(tmp_path / "out.ipynb") == target  # noqa: PTH115 - Path.readlink would resolve it no further


@pytest.mark.slow
@pytest.mark.fault(39)
def test_secrets_are_nowhere_but_in_the_kernel(tmp_path: Path) -> None:
    secret = "hunter2-Zürich/+=&"  # noqa: S105 - the test's own
    cells = [
        Code("token = ''\nuser = ''", tags=("parameters",)),
        "import sys, time\nassert len(token) == 18\nprint('token is', token)\nprint(repr(token), file=sys.stderr)",
        "for character in token: print(character, end='', flush=True); time.sleep(0.02)",
        "from IPython.display import display, HTML\ndisplay(HTML(f'<b>{token}</b>'))\ntoken",
        "raise ValueError(f'cannot log in with {token}')",
    ]
    done = run(
        tmp_path,
        cells,
        "-y",
        "token: {secret: env:TEST_TOKEN}",
        "--html",
        "--autosave-cell-every",
        "0.01",
        env={"TEST_TOKEN": secret},
    )
    assert (done.code, done.error["exception_name"]) == (10, "ValueError")
    written = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name.startswith("out")}
    assert {"out.ipynb", "out.result.json", "out.log.jsonl", "out.html"} <= written.keys()
    for name, text in {**written, "stdout": done.stdout, "stderr": done.stderr}.items():
        assert secret not in text, name
        assert json.dumps(secret)[1:-1] not in text, name
        assert "hunter2" not in text, name
    assert done.record["parameters"]["token"] == {"secret": "env:TEST_TOKEN"}
    assert done.text(2).startswith("token is ***")


@pytest.mark.slow
@pytest.mark.fault(39)
def test_a_widget_shows_no_secret(tmp_path: Path) -> None:
    widget = "from comm import create_comm\ncreate_comm(target_name='jupyter.widget', data={'state': {'value': token}})"
    done = run(
        tmp_path,
        [Code("token = ''", tags=("parameters",)), widget],
        *("-y", "token: {secret: env:TEST_TOKEN}"),
        env={"TEST_TOKEN": "hunter2-hunter2"},
    )
    (saved,) = done.notebook.metadata.widgets.values()
    assert [model["state"]["value"] for model in saved["state"].values()] == ["***"]
    assert "hunter2" not in done.output.read_text()


def test_a_secret_too_short_to_be_masked_is_told_of(tmp_path: Path) -> None:
    cells = [Code("pin = ''", tags=("parameters",)), "print(pin)"]
    done = run(tmp_path, cells, "-y", "pin: {secret: env:TEST_PIN}", env={"TEST_PIN": "123"})
    assert (done.code, done.text(2)) == (0, "123\n")
    warning = "secrets shorter than 4 characters are not masked where the notebook prints them; there are 1"
    assert done.record["warnings"] == [warning]
    assert warning in done.stdout


@pytest.mark.fault(39)
def test_a_secret_that_is_not_there_is_named_and_nothing_runs(tmp_path: Path) -> None:
    done = run(tmp_path, [Code("token = ''", tags=("parameters",))], "-y", "token: {secret: env:NO_SUCH_TOKEN}")
    refused(done, "NO_SUCH_TOKEN")


@pytest.mark.fault(39)
def test_credentials_in_uris_are_hidden(tmp_path: Path) -> None:
    uri = "https://user:hunter2@localhost:1/in.ipynb?X-Amz-Signature=hunter3&x=hunter4"
    done = subprocess.run(
        ["nbstep-runner", uri, tmp_path / "out.ipynb", "--retry-seconds", "0", "--allow-private-addresses"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode in (75, 77, 66)
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "hunter" not in done.stdout + done.stderr + written
    assert "localhost:1" in done.stdout


@pytest.mark.slow
@pytest.mark.fault(50)
@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("name", ["out.partial.ipynb", "out.result.json"])
def test_an_input_that_is_one_of_the_runs_own_places_is_refused_and_untouched(
    tmp_path: Path, name: str, link: bool
) -> None:
    own = write(tmp_path / name, ["1"])
    before = own.read_bytes()
    source = tmp_path / "link.ipynb" if link else own
    if link:
        source.symlink_to(own)
    there = sorted(path.name for path in tmp_path.iterdir())
    done = command(str(source), str(tmp_path / "out.ipynb"))
    assert (done.returncode, done.stderr) == (65, b"")
    assert b"would be read and is written by this run" in done.stdout
    assert own.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == there


@pytest.mark.slow
@pytest.mark.fault(50)
@pytest.mark.parametrize("option", ["--stdout-file", "--stderr-file", "--record-file"])
@pytest.mark.parametrize("name", ["in.ipynb", "out.ipynb", "out.result.json"])
def test_a_further_file_takes_no_place_of_the_run(tmp_path: Path, option: str, name: str) -> None:
    source = write(tmp_path / "in.ipynb", ["1"])
    before = source.read_bytes()
    done = command(str(source), str(tmp_path / "out.ipynb"), option, str(tmp_path / name))
    assert (done.returncode, done.stdout) == (65, b"")
    assert b"would be written over" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.ipynb"]
    assert source.read_bytes() == before
