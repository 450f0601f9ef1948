"""What others wrote where papermill's metadata belongs does not end a run."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.contract import CellState
from nbstep_runner.engine.metadata import begin_cell, begin_notebook, end_cell, note_time
from nbstep_runner.errors import BadInputError
from nbstep_runner.notebook import parse_notebook
from nbstep_runner.papermill_bridge import parameterize


@pytest.mark.parametrize("foreign", [3, "x", [], {"parameters": 3, "default_parameters": None}])
def test_it_is_replaced(foreign: Any) -> None:
    notebook = {"cells": [], "metadata": {"papermill": foreign}, "nbformat": 4, "nbformat_minor": 5}
    prepared = parameterize(
        notebook, {"n": 1}, kernel=None, language="python", report_mode=False, input_uri="in", output_uri="out"
    )
    papermill = prepared["metadata"]["papermill"]
    assert papermill["parameters"] == {"n": 1}
    assert papermill["default_parameters"] == {}


LEAVES = st.sampled_from([None, True, 0, "x", [], {}, ["x"], {"name": "x"}, {"timeout": "3"}, {"timeout": 3}])
KEYS = st.sampled_from(["authors", "collapsed", "execution", "jupyter", "name", "papermill", "tags", "title", "mine"])
METADATA = st.dictionaries(KEYS, LEAVES, max_size=4)


@given(minor=st.integers(0, 5), metadata=METADATA, cell=METADATA)
def test_what_earlier_versions_allowed_makes_a_valid_notebook(
    minor: int, metadata: dict[str, Any], cell: dict[str, Any]
) -> None:
    """Version 4.5 gave meanings to keys that were free before."""
    code: dict[str, Any] = {
        "cell_type": "code",
        "metadata": cell,
        "source": "1",
        "outputs": [],
        "execution_count": None,
    }
    cells = [code | ({"id": "a"} if minor == 5 else {})]
    made = {"nbformat": 4, "nbformat_minor": minor, "metadata": metadata, "cells": cells}
    try:
        parsed = parse_notebook(json.dumps(made).encode()).content
    except BadInputError:
        return
    executed = parameterize(
        parsed, {"n": 1}, kernel=None, language="python", report_mode=True, input_uri="in", output_uri="out"
    )
    begin_notebook(executed)
    for each in executed["cells"]:
        begin_cell(each)
        note_time(each, "iopub.status.busy", "2026-01-01T00:00:00Z")
        end_cell(each, CellState.SUCCEEDED, 1.0, raised=False)
    nbformat.validate(nbformat.reads(json.dumps(executed), as_version=4))


@pytest.mark.parametrize("depth", [500, 900])
def test_metadata_without_bottom_is_refused(depth: int) -> None:
    data = b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {"x": %b%b}, "cells": []}' % (b"[" * depth, b"]" * depth)
    with pytest.raises(BadInputError, match="nested too deeply"):
        parameterize(
            parse_notebook(data).content,
            {},
            kernel=None,
            language="python",
            report_mode=False,
            input_uri="i",
            output_uri="o",
        )
