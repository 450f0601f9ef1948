"""The page of a notebook: its policy, and what it says that it does not show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nbconvert", reason="the html extra is not installed")

from nbconvert.exporters import HTMLExporter

from nbstep_runner.contract import CellRecord, CellState, ErrorInfo, HtmlAllow, RunState
from nbstep_runner.emit import FILE_MIME
from nbstep_runner.errors import BadInputError, UsageError
from nbstep_runner.page import Page, PageRenderer, render_page
from nbstep_runner.papermill_bridge import ERROR_MARKER_TAG
from support.records import run_record

RECORD = run_record(output_uri="runs/report.ipynb")
TESTS = Path(__file__).parents[2]
PLOTLY = "application/vnd.plotly.v1+json"
WIDGET = "application/vnd.jupyter.widget-view+json"


def notebook(*bundles: dict[str, Any], text: str = "# Title") -> bytes:
    """A cell of text, and a cell of code with such displays."""
    outputs = [{"output_type": "display_data", "data": data, "metadata": {}} for data in bundles]
    code = {"cell_type": "code", "id": "b", "metadata": {}, "source": "1", "execution_count": 1, "outputs": outputs}
    cells = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": text}, code]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def body(page: Page) -> str:
    return page.content.decode().partition("<body")[2]


def test_a_notebook_has_a_page_with_its_name() -> None:
    page = render_page(notebook(), RECORD)
    assert b"<title>report</title>" in page.content
    assert page.warnings == ()


def test_the_policy_comes_before_anything_that_it_is_for() -> None:
    head = render_page(notebook(), RECORD).content.decode().partition("<head>")[2]
    assert re.match(r'<meta http-equiv="Content-Security-Policy" content="default-src &#x27;none&#x27;; ', head)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({PLOTLY: {"data": []}, "text/plain": "Figure"}, "plotly"),
        ({PLOTLY: {"data": []}}, "plotly"),
        ({"text/html": "<div class='plotly'></div><script>Plotly.newPlot()</script>"}, "plotly"),
        ({"application/vnd.vegalite.v5+json": {}, "text/plain": "alt.Chart(...)"}, "altair or vega"),
        ({"application/vnd.bokehjs_exec.v0+json": "", "application/javascript": "Bokeh.embed()"}, "bokeh"),
        ({WIDGET: {"model_id": "x", "version_major": 2}, "text/plain": "IntSlider()"}, "widget"),
        ({"application/javascript": "alert(1)"}, "JavaScript"),
        ({"text/html": "<b>x</b><script>alert(1)</script>"}, "JavaScript"),
        ({"text/html": "<iframe srcdoc='x'></iframe>"}, "embedded page"),
        ({"application/javascript": "<script " * 100_000 + "http://a," * 100_000}, "JavaScript"),
    ],
)
def test_what_needs_scripts_is_said_to_be_missing(data: dict[str, Any], kind: str) -> None:
    page = render_page(notebook(data), RECORD)
    assert f"Not shown here: {kind}." in body(page)
    assert page.warnings[0].startswith(f"the HTML page does not show what needs scripts: cell 1 ({kind})")


@pytest.mark.parametrize("mime", [PLOTLY, WIDGET, "application/javascript"])
def test_a_picture_stands_in_for_it(mime: str) -> None:
    page = render_page(notebook({mime: "{}", "image/png": "iVBORw0KGgo="}), RECORD)
    assert "data:image/png;base64,iVBORw0KGgo=" in body(page)
    assert "Not shown here" not in body(page)
    assert page.warnings == ()


def test_what_needs_no_scripts_is_left_alone() -> None:
    page = render_page(notebook({"text/html": "<table><td>1</td></table>", "text/plain": "1"}), RECORD)
    assert "<table><td>1</td></table>" in body(page)
    assert page.warnings == ()


def test_what_no_renderer_expects_costs_no_page() -> None:
    """The format allows it: metadata of a picture that are no object, views of widgets that name none."""
    document = json.loads(
        notebook({"image/png": "AAAA"}, *({WIDGET: view} for view in (None, 5, "x", {"model_id": 1})))
    )
    document["cells"][1]["outputs"][0]["metadata"] = {"image/png": None}
    assert "data:image/png;base64,AAAA" in body(render_page(json.dumps(document).encode(), RECORD))


def test_a_file_as_a_result_needs_no_scripts() -> None:
    page = render_page(notebook({FILE_MIME: {"path": "/data/model.bin"}, "text/plain": "model = 'model.bin'"}), RECORD)
    assert "model.bin" in body(page)
    assert page.warnings == ()


def test_scripts_that_come_with_the_output_are_there_once_they_are_allowed() -> None:
    data = notebook({"text/html": "<script>let a = 1</script>"}, {WIDGET: {"model_id": "x", "version_major": 2}})
    page = render_page(data, RECORD, HtmlAllow.SCRIPTS)
    assert "(widget)" in page.warnings[0]
    assert "script-src" in page.content.decode().partition("<title")[0]
    assert render_page(data, RECORD, HtmlAllow.REMOTE).warnings == ()


@pytest.mark.fault(43)
@pytest.mark.parametrize("tag", ["meta", "META", "base", "link", "iframe", "object", "embed"])
def test_elements_that_a_policy_does_not_hold_back_mean_nothing(tag: str) -> None:
    hostile = f'<{tag} http-equiv="refresh" content="0;url=http://127.0.0.1/">'
    page = render_page(
        notebook({"text/html": hostile}, {"image/svg+xml": f"<svg>{hostile}</svg>"}, text=hostile), RECORD
    )
    assert f"<{tag} http" not in body(page)


def test_what_cannot_be_rendered_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the template is broken\nin many lines")

    monkeypatch.setattr(HTMLExporter, "from_notebook_node", fail)
    with pytest.raises(BadInputError) as caught:
        render_page(notebook(), RECORD)
    assert caught.value.message == "the notebook has no HTML page: RuntimeError: the template is broken"


def test_nbformat_judges_only_what_is_not_plainly_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    doubtful = json.loads(notebook())
    doubtful["cells"][1]["execution_count"] = "1"
    with pytest.raises(BadInputError, match="has no HTML page: NotebookValidationError"):
        render_page(json.dumps(doubtful).encode(), RECORD)

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("nbformat compiles its schema")

    monkeypatch.setattr("nbformat.validator.get_validator", fail)
    assert "Not shown here" in body(render_page(notebook({PLOTLY: {}}), RECORD))
    with pytest.raises(BadInputError, match="nbformat compiles its schema"):
        render_page(json.dumps(doubtful).encode(), RECORD)


def test_a_page_is_small_right_in_dark_and_leads_to_the_failing_cell() -> None:
    cells = (CellRecord(index=1, id="b", state=CellState.FAILED, title="1", execution_count=1),)
    error = ErrorInfo(reference="cell-failed", message="cell 1 raised E: no", cell_index=1)
    failed = run_record(RunState.FAILED, cells=cells, error=error)
    page = render_page(notebook(), failed).content.decode()
    assert len(page) < 500_000, "a megabyte is for what the notebook has to say"
    assert '<a href="#cell-id=b">' in page
    assert re.search(r'<div class="[^"]*celltag_nbstep-failed[^"]*" id="cell-id=b">', page)
    assert "prefers-color-scheme: dark" in page


def test_the_header_stands_for_the_cells_that_mark_a_failure() -> None:
    marked = json.loads(notebook())
    marker = {"cell_type": "markdown", "id": "m", "metadata": {"tags": [ERROR_MARKER_TAG]}, "source": "An Exception"}
    marked["cells"] = [marker, marked["cells"][0], {**marker, "id": "n"}, marked["cells"][1]]
    cells = (CellRecord(index=1, id="b", state=CellState.FAILED, title="one"),)
    page = body(render_page(json.dumps(marked).encode(), run_record(RunState.FAILED, cells=cells)))
    assert "An Exception" not in page
    assert '<a href="#cell-id=b">[ ] one</a>' in page


def test_a_cell_that_is_left_out_is_no_link() -> None:
    hidden = json.loads(notebook())
    hidden["cells"][1]["metadata"]["tags"] = ["remove-cell"]
    cells = (CellRecord(index=1, id="b", state=CellState.SUCCEEDED, title="one"),)
    page = body(render_page(json.dumps(hidden).encode(), run_record(cells=cells)))
    assert "[ ] one" in page
    assert "cell-id=b" not in page


def test_a_missing_nbconvert_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nbconvert.exporters", None)
    with pytest.raises(UsageError, match=r"pip install 'nbstep\[html\]'"):
        render_page(notebook(), RECORD)


def test_a_rehearsal_leaves_nothing_to_import_and_nothing_on_the_page() -> None:
    script = """
import json, sys
from nbstep_runner.page import PageRenderer
from support.records import run_record
renderer, notebook, record = PageRenderer(), sys.stdin.buffer.read(), run_record(output_uri="runs/report.ipynb")
renderer.rehearse()
known = set(sys.modules)
page = renderer.render(notebook, record).content.decode()
print(json.dumps([page, sorted(set(sys.modules) - known)]))
"""
    shown = notebook(
        {"text/html": "<table><td>1</td></table>", "text/plain": "1"}, text="# Title\n\n| a |\n|---|\n| b |"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, input=shown, stdout=subprocess.PIPE, cwd=TESTS, timeout=120, check=True)
    page, imported = json.loads(done.stdout)
    assert imported == []
    assert page == render_page(shown, RECORD).content.decode()


def test_what_a_rehearsal_meets_is_left_to_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("No template sub-directory with name 'lab' found")

    monkeypatch.setattr(HTMLExporter, "__init__", fail)
    renderer = PageRenderer()
    renderer.rehearse()
    with pytest.raises(BadInputError, match="has no HTML page: ValueError: No template sub-directory"):
        renderer.render(notebook(), RECORD)
    monkeypatch.setitem(sys.modules, "nbconvert.exporters", None)
    PageRenderer().rehearse()
