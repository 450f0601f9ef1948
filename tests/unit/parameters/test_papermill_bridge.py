"""Injection and metadata, compared with papermill's own."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any

import nbformat
import papermill
import pytest
from papermill.execute import prepare_notebook_metadata, remove_error_markers
from papermill.parameterize import parameterize_notebook

from nbstep_runner.errors import BadInputError
from nbstep_runner.papermill_bridge import parameterize
from nbstep_runner.parameters import SecretReference

PYTHON = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "language_info": {"name": "python"},
}


def cell(source: str, *tags: str, kind: str = "code", **extra: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"cell_type": kind, "metadata": {"tags": list(tags)} if tags else {}, "source": source}
    if kind == "code":
        made |= {"outputs": [], "execution_count": None}
    return made | extra


def notebook(*cells: dict[str, Any], minor: int = 4, **metadata: Any) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": minor, "metadata": {**PYTHON, **metadata}, "cells": list(cells)}


NOTEBOOKS = {
    "declared": notebook(cell("# title", kind="markdown"), cell("x = 1", "parameters"), cell("print(x)")),
    "undeclared": notebook(cell("print(x)")),
    "run before": notebook(
        cell("x = 1", "parameters"), cell("x = 2", "injected-parameters"), cell("y"), cell("z", "injected-parameters")
    ),
    "injected only": notebook(cell("y"), cell("x = 2", "injected-parameters")),
    "markdown tagged": notebook(cell("x", "parameters", kind="markdown"), cell("print(x)")),
    "two tagged": notebook(cell("x = 1", "parameters"), cell("y = 1", "parameters")),
    "failed before": notebook(
        cell("error", "papermill-error-cell-tag", kind="markdown"),
        cell("x = 1", "parameters"),
        cell("here", "papermill-error-cell-tag", kind="markdown"),
        cell("1/0"),
    ),
    "with ids": notebook(cell("x = 1", "parameters", id="one"), cell("x", id="two"), minor=5),
    "with papermill's metadata": notebook(
        cell("x = 1", "parameters"),
        papermill={
            "parameters": {"old": 1},
            "default_parameters": {"x": 1},
            "environment_variables": {},
            "exception": True,
        },
    ),
    "old": notebook(cell("x = 1", "parameters"), minor=0),
}


def ours(given: dict[str, Any], values: dict[str, Any], **options: Any) -> dict[str, Any]:
    choices: dict[str, Any] = {"kernel": None, "language": None, "report_mode": False, **options}
    return parameterize(given, values, input_uri="in.ipynb", output_uri="gs://b/{out}.ipynb", **choices)


def theirs(given: dict[str, Any], values: dict[str, Any], *, report_mode: bool = False) -> dict[str, Any]:
    """What ``papermill.execute_notebook`` does before it starts a kernel."""
    loaded = papermill.iorw.load_notebook_node
    node = nbformat.reads(json.dumps(given), as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(papermill.iorw.papermill_io, "read", lambda _: nbformat.writes(node, version=nbformat.NO_CONVERT))
        node = loaded("in.ipynb")
    if values:
        node = parameterize_notebook(node, values, report_mode)
    node = prepare_notebook_metadata(node, "in.ipynb", "gs://b/{out}.ipynb", report_mode)
    plain: dict[str, Any] = json.loads(json.dumps(remove_error_markers(node)))
    return plain


def comparable(prepared: dict[str, Any]) -> dict[str, Any]:
    """Without ids, which are random, and the cell metadata that papermill's engine adds to the injected cell later."""
    plain: dict[str, Any] = json.loads(json.dumps(prepared))
    for one in plain["cells"]:
        del one["id"]
        one["metadata"].pop("papermill", None)
    plain["metadata"]["papermill"].setdefault("version", papermill.__version__)
    return plain


@pytest.mark.parametrize("report_mode", [False, True])
@pytest.mark.parametrize("values", [{}, {"x": 5, "name": "it's", "deep": {"a": [1, 2.5, None, True]}}])
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_prepared_as_papermill_does(name: str, values: dict[str, Any], report_mode: bool) -> None:
    given = NOTEBOOKS[name]
    assert comparable(ours(given, values, report_mode=report_mode)) == comparable(
        theirs(given, values, report_mode=report_mode)
    )


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_outcome_is_a_valid_notebook_of_plain_dictionaries(name: str) -> None:
    prepared = ours(NOTEBOOKS[name], {"x": 1})
    nbformat.validate(prepared)
    assert (prepared["nbformat"], prepared["nbformat_minor"]) == (4, 5)
    assert type(prepared) is dict
    assert all(type(one) is dict and type(one["metadata"]) is dict for one in prepared["cells"])
    assert prepared["metadata"]["papermill"]["version"] == papermill.__version__


def test_the_notebook_that_was_given_stays_as_it_was() -> None:
    given = copy.deepcopy(NOTEBOOKS["run before"])
    prepared = ours(given, {"x": 1}, report_mode=True)
    prepared["cells"][0]["outputs"].append("new")
    prepared["cells"][0]["metadata"]["tags"].append("new")
    assert given == NOTEBOOKS["run before"]


def test_ids_are_kept_and_made_unique() -> None:
    given = notebook(cell("a", id="one"), cell("b", id="one"), cell("c"), minor=5)
    ids = [one["id"] for one in ours(given, {"x": 1})["cells"]]
    assert ids[1] == "one"
    assert len(set(ids)) == 4


def test_other_jupyter_metadata_of_a_hidden_cell_is_kept() -> None:
    given = notebook(cell("a"))
    given["cells"][0]["metadata"]["jupyter"] = {"outputs_hidden": True}
    hidden = ours(given, {}, report_mode=True)["cells"][0]["metadata"]["jupyter"]
    assert hidden == {"outputs_hidden": True, "source_hidden": True}


def test_a_secret_is_in_the_notebook_as_a_reference_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    prepared = ours(NOTEBOOKS["declared"], {"x": SecretReference("env", "TOKEN")})
    assert prepared["metadata"]["papermill"]["parameters"] == {"x": {"secret": "env:TOKEN"}}
    assert prepared["cells"][2]["source"] == '# Parameters\nx = __import__("os").environ["TOKEN"]\n'
    assert "hunter2" not in json.dumps(prepared)


def test_metadata_is_strict_json() -> None:
    prepared = ours(NOTEBOOKS["declared"], {"x": float("nan")})
    assert prepared["metadata"]["papermill"]["parameters"] == {"x": "NaN"}
    json.dumps(prepared, allow_nan=False)


def test_the_language_of_the_notebook_decides_the_source() -> None:
    given = notebook(cell("x <- 1", "parameters"))
    given["metadata"] = {"kernelspec": {"name": "ir", "language": "R"}}
    assert ours(given, {"x": True})["cells"][1]["source"] == "# Parameters\nx = TRUE\n"
    assert ours(given, {"x": True}, language="python")["cells"][1]["source"] == "# Parameters\nx = True\n"
    assert ours(given, {"x": True}, kernel="bash")["cells"][1]["source"] == "# Parameters\nx=true\n"


@pytest.mark.parametrize("broken", [{}, {"nbformat": 3, "worksheets": []}, {"nbformat": 4}])
def test_a_notebook_of_another_version_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="nbformat 4"):
        ours(broken, {})


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_parameters_do_not_import_papermill() -> None:
    code = (
        "import sys; from nbstep_runner.papermill_bridge import parameterize\n"
        "nb = {'nbformat': 4, 'nbformat_minor': 5, 'metadata': {}, 'cells': []}\n"
        "for language in ('python', 'R', 'bash'):\n"
        "    rest = {'report_mode': False, 'input_uri': '', 'output_uri': ''}\n"
        "    parameterize(nb, {'x': 1}, kernel=None, language=language, **rest)\n"
        "print([name for name in ('papermill', 'nbformat', 'black', 'pandas', 'numpy', 'yaml') if name in sys.modules])"
    )
    assert python(code) == "[]"
