"""Valid notebooks, broken in harmless ways alone and together: repaired with one warning, and valid once published."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import CellState, RunState
from nbstep_runner.engine.cells import source_of
from nbstep_runner.engine.document import Document
from nbstep_runner.engine.metadata import begin_cell, begin_notebook, end_cell, end_notebook
from nbstep_runner.errors import BadInputError
from nbstep_runner.notebook import ParsedNotebook, parse_notebook
from nbstep_runner.papermill_bridge import parameterize

Notebook = dict[str, Any]
OUTPUTS: list[dict[str, Any]] = [
    {"output_type": "stream", "name": "stdout", "text": ["a\n", "b"]},
    {"output_type": "display_data", "data": {"text/plain": "x", "application/json": {"a": 1}}, "metadata": {}},
    {"output_type": "execute_result", "data": {"text/plain": ["x"]}, "metadata": {}, "execution_count": 3},
    {"output_type": "error", "ename": "E", "evalue": "e", "traceback": ["t"]},
]
CODE, TEXT = (1, 3), (0, 2)  # which cells are code, and which are not


def valid(minor: int) -> Notebook:
    """Two cells of text and two of code, the second one tagged as parameters."""

    def code(source: Any) -> dict[str, Any]:
        return {
            "cell_type": "code",
            "metadata": {"tags": ["a", "b"], "mine": {"x": 1}},
            "source": source,
            "outputs": copy.deepcopy(OUTPUTS),
            "execution_count": 1,
        }

    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "metadata": {}, "source": "# Title"},
        code(["x = 1\n", "print(x)"]),
        {"cell_type": "raw", "metadata": {"format": "text/x"}, "source": ["raw"]},
        code("y = 2"),
    ]
    if minor >= 5:
        for index, cell in enumerate(cells):
            cell["id"] = f"id-{index}"
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernelspec, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}


Break = Callable[[dict[str, Any]], None]


def without(*path: str) -> Break:
    return lambda holder: inner(holder, path[:-1]).pop(path[-1], None)


def with_(value: Any, *path: str) -> Break:
    return lambda holder: inner(holder, path[:-1]).update({path[-1]: copy.deepcopy(value)})


def inner(holder: Any, path: tuple[str, ...]) -> Any:
    """The mapping at the end of a path; a new one where an earlier break left none."""
    for step in path:
        holder = holder.setdefault(step, {}) if isinstance(holder, dict) else holder[int(step)]
        if isinstance(holder, str) or not holder:
            return holder if isinstance(holder, dict) else {}
    return holder if isinstance(holder, dict) else {}


def output(change: dict[str, Any], at: int = 1) -> Break:
    def change_output(cell: dict[str, Any]) -> None:
        cell.setdefault("outputs", []).append(OUTPUTS[at] | change)

    return change_output


OF_ANY_CELL: dict[str, Break] = {
    "a malformed id": with_("a b", "id"),
    "an id that is a number": with_(3, "id"),
    "an extra key": with_(1, "extra"),
    "no metadata": without("metadata"),
    "metadata that is a list": with_([], "metadata"),
    "duplicate tags": with_(["a", "a"], "metadata", "tags"),
    "tags in a text": with_("a, b", "metadata", "tags"),
    "a tag with a comma": with_(["a,b"], "metadata", "tags"),
    "tags that are numbers": with_([1, None, "a"], "metadata", "tags"),
    "tags that are a mapping": with_({"a": 1}, "metadata", "tags"),
    "an empty name": with_("", "metadata", "name"),
    "a number as name": with_(7, "metadata", "name"),
    "jupyter that is no mapping": with_("x", "metadata", "jupyter"),
    "NaN in the metadata": with_(float("nan"), "metadata", "ratio"),
    "an infinity in the metadata": with_([float("-inf")], "metadata", "ratios"),
}
OF_CODE: dict[str, Break] = {
    "no outputs": without("outputs"),
    "no execution_count": without("execution_count"),
    "an execution_count that is text": with_("1", "execution_count"),
    "a negative execution_count": with_(-1, "execution_count"),
    "attachments": with_({}, "attachments"),
    "transient in an output": output({"transient": {"display_id": "x"}}),
    "an extra key in an output": output({"extra": 1}),
    "an output of an unknown type": output({"output_type": "update_display_data"}),
    "an output of format 3": output({"output_type": "pyout"}),
    "an output without its type": output({"output_type": None}),
    "an output that is text": lambda cell: cell.setdefault("outputs", []).append("x"),
    "a number as text": output({"data": {"text/plain": 5}}),
    "an output without metadata": output({"metadata": None}),
    "a stream without name": output({"name": None}, 0),
    "a traceback that is text": output({"traceback": "x"}, 3),
    "NaN in an output": output({"data": {"application/json": {"x": float("nan")}}}),
    "execution that is a text": with_("x", "metadata", "execution"),
    "a time that is a number": with_({"iopub.status.busy": None}, "metadata", "execution"),
    "collapsed that is a text": with_("no", "metadata", "collapsed"),
    "scrolled that is a text": with_("no", "metadata", "scrolled"),
}
OF_TEXT: dict[str, Break] = {
    "outputs": with_([], "outputs"),
    "execution_count": with_(None, "execution_count"),
    "attachments that are a list": with_([], "attachments"),
    "an attachment that is a number": with_({"a.png": {"image/png": 5}}, "attachments"),
}
OF_THE_NOTEBOOK: dict[str, Break] = {
    "a kernelspec without display_name": without("metadata", "kernelspec", "display_name"),
    "a kernelspec without name": without("metadata", "kernelspec", "name"),
    "a kernelspec that is a text": with_("python3", "metadata", "kernelspec"),
    "a language_info without name": with_({"version": "3"}, "metadata", "language_info"),
    "a language_info with a wrong mimetype": with_({"name": "python", "mimetype": 1}, "metadata", "language_info"),
    "an extra key": with_([], "worksheets"),
    "no metadata": without("metadata"),
    "authors that are a text": with_("me", "metadata", "authors"),
    "a title that is a list": with_([], "metadata", "title"),
    "NaN in the metadata": with_(float("nan"), "metadata", "ratio"),
    "no minor version": without("nbformat_minor"),
    "a minor version that is text": with_("5", "nbformat_minor"),
}
BREAKS = (
    [("a duplicate id", with_("id-0", "id"), index) for index in (1, 2, 3)]
    + [(name, break_, index) for index in range(4) for name, break_ in OF_ANY_CELL.items()]
    + [(name, break_, index) for index in CODE for name, break_ in OF_CODE.items()]
    + [(name, break_, index) for index in TEXT for name, break_ in OF_TEXT.items()]
    + [(name, break_, None) for name, break_ in OF_THE_NOTEBOOK.items()]
)


def parse(notebook: Notebook) -> ParsedNotebook:
    return parse_notebook(json.dumps(notebook).encode())


def published(parsed: ParsedNotebook, scratch: Path = Path()) -> Notebook:
    """What a run publishes, read strictly: cells run or pass, metadata of the run is added."""
    notebook = parameterize(
        parsed.content, {"n": 1}, kernel=None, language="python", report_mode=True, input_uri="i", output_uri="o"
    )
    begin_notebook(notebook)
    document = Document(notebook, scratch)
    for index, cell in enumerate(document.cells):
        begin_cell(cell)
        end_cell(cell, CellState.SUCCEEDED, 0.1, raised=False)
        document.finish(index)
    end_notebook(notebook, 0.1, RunState.SUCCEEDED, None)
    data = document.complete()
    assert isinstance(data, bytes)
    read: Notebook = json.loads(data, parse_constant=lambda name: pytest.fail(f"{name} is published"))
    return read


def check(broken: Notebook, minor: int) -> str:
    """Repaired to what is valid when published and when only prepared, cells intact; the warning."""
    parsed = parse(broken)
    assert len(parsed.warnings) == 1
    nbformat.validate(copy.deepcopy(parsed.content), relax_add_props=False)
    nbformat.validate(published(parsed), relax_add_props=False)
    before = valid(minor)["cells"]
    assert [cell["cell_type"] for cell in parsed.content["cells"]] == [cell["cell_type"] for cell in before]
    assert [source_of(cell) for cell in parsed.content["cells"]] == [source_of(cell) for cell in before]
    return parsed.warnings[0]


@pytest.mark.fault(57)
@pytest.mark.filterwarnings("error::nbformat.warnings.MissingIDFieldWarning")
@pytest.mark.parametrize("minor", [2, 5])
@pytest.mark.parametrize(
    ("break_", "index"), [pytest.param(break_, index, id=f"{name}-{index}") for name, break_, index in BREAKS]
)
def test_a_harmless_violation_is_repaired_and_told_with_its_place(break_: Break, index: int | None, minor: int) -> None:
    broken = valid(minor)
    break_(broken if index is None else broken["cells"][index])
    warning = check(broken, minor)
    assert re.search(rf"\bcells?\b[ \d,]*\b{index}\b" if index is not None else "the notebook: ", warning)


@pytest.mark.fault(57)
@given(minor=st.integers(0, 5), breaks=st.lists(st.sampled_from(BREAKS), min_size=1, max_size=8), data=st.data())
def test_so_are_any_of_them_together(
    minor: int, breaks: list[tuple[str, Break, int | None]], data: st.DataObject
) -> None:
    broken = valid(minor)
    for _, break_, index in breaks:
        break_(broken if index is None else broken["cells"][index])
    if data.draw(st.booleans()):
        broken["nbformat_minor"] = data.draw(st.integers(6, 9))
    try:
        parse(broken)
    except BadInputError as error:
        pytest.fail(error.message)
    if parse(broken).warnings:
        check(broken, minor)


@pytest.mark.fault(57)
@pytest.mark.parametrize("minor", range(6))
def test_a_valid_notebook_is_left_as_it_is(minor: int) -> None:
    parsed = parse(valid(minor))
    assert parsed.warnings == ()
    assert parsed.content == valid(minor)


@pytest.mark.fault(57)
def test_what_a_later_minor_version_adds_is_carried_through() -> None:
    notebook = valid(5) | {"nbformat_minor": 7, "later": {"a": 1}}
    notebook["cells"][1]["later"] = 1
    notebook["cells"][1]["outputs"].append({"output_type": "hologram", "depth": 3})
    notebook["cells"].append({"cell_type": "sql", "id": "s", "metadata": {}, "query": "select 1"})
    del notebook["cells"][3]["source"]
    parsed = parse(notebook)
    assert "newer than 4.5" in parsed.warnings[0]
    made = published(parsed)
    nbformat.validate(copy.deepcopy(made))
    assert made["nbformat_minor"] == 7
    assert made["later"] == {"a": 1}
    assert made["cells"][2]["later"] == 1
    assert made["cells"][-1]["query"] == "select 1"


@pytest.mark.fault(57)
@pytest.mark.parametrize(("kind", "read", "source"), [("heading", "markdown", "## a b"), ("sql", "raw", "a\nb")])
def test_an_unknown_type_of_cell_is_text_as_jupyterlab_has_it(kind: str, read: str, source: str) -> None:
    notebook = valid(4)
    notebook["cells"][0] = {"cell_type": kind, "level": 2, "metadata": {}, "source": ["a\n", "b"]}
    parsed = parse(notebook)
    assert kind in parsed.warnings[0]
    assert parsed.content["cells"][0]["cell_type"] == read
    assert source_of(parsed.content["cells"][0]) == source
    nbformat.validate(published(parsed), relax_add_props=False)


@pytest.mark.fault(57)
def test_many_repairs_are_one_warning_of_bounded_length() -> None:
    notebook = valid(5)
    notebook["cells"] = [
        {"cell_type": "code", "source": "1", f"extra-{index}": 1, "metadata": {}} for index in range(500)
    ]
    (warning,) = parse(notebook).warnings
    assert len(warning) < 2000
    assert "cells 0, 1, 2, 3, 4 and 495 more: 'outputs' was missing" in warning


@pytest.mark.fault(57)
@pytest.mark.parametrize(
    ("change", "place"),
    [
        (with_(3, "cells", "1", "source"), "cell 1, key 'source'"),
        (with_(["a", 3], "cells", "2", "source"), "cell 2, key 'source'"),
        (with_("half \ud83d", "cells", "3", "source"), "cell 3, key 'source'"),
        (without("cells", "1", "cell_type"), "cell 1, key 'cell_type'"),
        (with_("Code", "cells", "1", "cell_type"), "cell 1, key 'cell_type'"),
        (lambda notebook: notebook["cells"].insert(2, None), "cell 2"),
        (without("cells"), "'cells'"),
        (with_({}, "cells"), "'cells'"),
        (without("nbformat"), "'nbformat'"),
        (with_("four", "nbformat"), "'nbformat'"),
    ],
)
def test_what_cannot_be_repaired_is_refused_with_its_place(change: Break, place: str) -> None:
    notebook = valid(5)
    change(notebook)
    with pytest.raises(BadInputError) as caught:
        parse(notebook)
    assert place in caught.value.message
    assert "\n" not in caught.value.message


def old(*cells: dict[str, Any], form: int = 3, **more: Any) -> Notebook:
    return {
        "metadata": {"name": ""},
        "nbformat": form,
        "nbformat_minor": 0,
        "worksheets": [{"cells": list(cells), "metadata": {}}],
    } | more


OLD_CODE = {"cell_type": "code", "input": ["x = 1\n", "x"], "language": "python", "collapsed": False, "metadata": {}}
OLD_OUTPUTS: list[dict[str, Any]] = [
    {"output_type": "pyout", "prompt_number": 1, "metadata": {}, "text": ["1"], "html": ["<b>\n", "1</b>"]},
    {"output_type": "stream", "stream": "stderr", "text": ["a\n", "b"]},
    {"output_type": "pyerr", "ename": "E", "evalue": "", "traceback": []},
    {"output_type": "display_data", "png": "iVBOR", "metadata": {}},
]


@pytest.mark.fault(57)
@pytest.mark.parametrize(("form", "end"), [(2, ""), (3, "\n"), (3, "")])
def test_older_formats_are_read_as_they_lie_on_disk(form: int, end: str) -> None:
    """Format 2, and the first of format 3, kept no ends of lines."""
    notebook = old(
        {"cell_type": "heading", "level": 2, "metadata": {}, "source": [f"The{end}", "title"]},
        {"cell_type": "markdown", "metadata": {}, "source": [f"a{end}", "b"]},
        OLD_CODE | {"input": [f"x = 1{end}", "x"], "prompt_number": 1, "outputs": OLD_OUTPUTS},
        form=form,
    )
    parsed = parse(notebook)
    assert parsed.warnings == ()
    heading, text, code = parsed.content["cells"]
    assert (heading["cell_type"], heading["source"]) == ("markdown", "## The title")
    assert text["source"] == "a\nb"
    assert (code["source"], code["execution_count"]) == ("x = 1\nx", 1)
    assert [each["output_type"] for each in code["outputs"]] == ["execute_result", "stream", "error", "display_data"]
    nbformat.validate(published(parsed), relax_add_props=False)


@pytest.mark.fault(57)
@pytest.mark.parametrize(
    "cell",
    [
        OLD_CODE,
        OLD_CODE | {"outputs": [{"output_type": "pyout"}]},
        OLD_CODE | {"outputs": [{"no": "type"}]},
        OLD_CODE | {"outputs": [{"output_type": "display_data", "json": "no json", "metadata": {}}]},
        OLD_CODE | {"outputs": [{"output_type": "stream", "text": [3]}]},
        OLD_CODE | {"outputs": [], "metadata": [], "extra": 1},
        {"cell_type": "heading", "level": "x", "source": "x"},
        {"cell_type": "sql", "source": ["x"]},
        {"cell_type": "raw"},
        {"cell_type": "code"},
    ],
)
def test_an_older_format_that_lacks_something_is_repaired(
    cell: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    parsed = parse(old(OLD_CODE | {"outputs": []}, cell, metadata=None))
    assert len(parsed.warnings) == 1
    nbformat.validate(published(parsed), relax_add_props=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.fault(57)
@pytest.mark.parametrize(
    ("notebook", "place"),
    [
        ({"nbformat": 3, "nbformat_minor": 0, "metadata": {}}, "worksheets"),
        ({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "cells": []}, "worksheets"),
        (old(form=3, worksheets=[{}]), "worksheets"),
        (old(OLD_CODE | {"outputs": []}, {"source": "x"}), "cell 1, key 'cell_type'"),
        (old(OLD_CODE | {"input": [3]}), "cell 0"),
    ],
)
def test_an_older_format_beyond_repair_is_refused_with_its_place(notebook: Notebook, place: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse(notebook)
    assert place in caught.value.message


WORDS = [
    "code",
    "stream",
    "a,b",
    "parameters",
    "name",
    "tags",
    "text/plain",
    "application/json",
    "output_type",
    "input",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.floats() | st.text(max_size=4) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of everything in a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [one for key, item in items for one in ((*path, key), *places(item, (*path, key)))]


@pytest.mark.fault(57)
@given(data=st.data(), form=st.sampled_from([2, 3, 4, 4, 4]), minor=st.integers(0, 7))
def test_whatever_is_broken_anywhere_is_valid_once_published_or_refused(
    data: st.DataObject, form: int, minor: int
) -> None:
    old_cells = [{"cell_type": "heading", "level": 1, "source": ["x"]}, OLD_CODE | {"outputs": OLD_OUTPUTS}]
    notebook: Any = copy.deepcopy(
        valid(min(minor, 5)) | {"nbformat_minor": minor} if form == 4 else old(*old_cells, form=form)
    )
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places(notebook) or [("x",)]))
        holder = notebook
        for key in path:
            holder = holder[key]
        match data.draw(st.sampled_from(["replace", "remove", "add"])):
            case "remove" if holder:
                del holder[last]
            case "add" if isinstance(holder, dict):
                holder[data.draw(st.sampled_from(WORDS))] = data.draw(JSON)
            case _ if holder:
                holder[last] = data.draw(JSON)
    try:
        parsed = parse(notebook)
    except BadInputError:
        return
    nbformat.validate(published(parsed), relax_add_props=False)
