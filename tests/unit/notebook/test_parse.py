from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.errors import BadInputError
from nbstep_runner.notebook import parse_notebook
from support.notebooks import Code, notebook


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_comes_is_a_notebook_or_refused(data: bytes) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_notebook(data)
    assert "\n" not in caught.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def check(data: bytes) -> None:
    """The data is a valid notebook, or is refused in one line."""
    try:
        parsed = parse_notebook(data).content
    except BadInputError as error:
        reason = error.message
    else:
        nbformat.validate(parsed)
        return
    assert reason
    assert "\n" not in reason


@given(st.sampled_from(["cells", "metadata", "nbformat", "nbformat_minor", "worksheets"]), JSON)
def test_a_notebook_with_any_part_replaced_is_valid_or_refused(part: str, value: Any) -> None:
    check(json.dumps(notebook(["1"]) | {part: value}).encode())


@given(st.sampled_from(["cell_type", "metadata", "source", "outputs", "execution_count", "id"]), JSON)
def test_a_cell_with_any_part_replaced_is_valid_or_refused(part: str, value: Any) -> None:
    plain = notebook(["1"])
    plain["cells"][0][part] = value
    check(json.dumps(plain).encode())


def test_older_formats_are_upgraded() -> None:
    version_3 = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": "old", "language": "Julia"},
        "worksheets": [
            {
                "metadata": {},
                "cells": [
                    {
                        "cell_type": "code",
                        "language": "python",
                        "metadata": {},
                        "input": "1 + 1",
                        "outputs": [],
                        "collapsed": False,
                    }
                ],
            }
        ],
    }
    parsed = parse_notebook(json.dumps(version_3).encode()).content
    assert parsed["nbformat"] == 4
    assert parsed["cells"][0]["source"] == "1 + 1"
    assert parsed["metadata"]["language_info"] == {"name": "julia"}


@pytest.mark.parametrize(("written", "read"), [(30, "30"), (0.5, "0.5"), ("7", "7")])
def test_a_cells_deadline_may_be_a_number(written: object, read: str) -> None:
    plain = notebook([Code("1", metadata={"execution": {"timeout": written}})])
    parsed = parse_notebook(json.dumps(plain).encode()).content
    nbformat.validate(parsed)
    assert parsed["cells"][0]["metadata"]["execution"]["timeout"] == read


@pytest.mark.parametrize("number", ["4.0", "4e0"])
def test_a_format_that_is_written_with_a_fraction_of_nothing_is_an_integer(number: str) -> None:
    data = f'{{"nbformat": {number}, "nbformat_minor": 5.0, "metadata": {{}}, "cells": []}}'
    parsed = parse_notebook(data.encode())
    assert (repr(parsed.content["nbformat"]), repr(parsed.content["nbformat_minor"])) == ("4", "5")
    assert parsed.warnings == ()


@pytest.mark.parametrize("number", ["4.5", '"4"', "true", "null"])
def test_a_format_that_is_no_integer_is_refused(number: str) -> None:
    with pytest.raises(BadInputError, match="no 'nbformat' number"):
        parse_notebook(f'{{"nbformat": {number}, "nbformat_minor": 5, "metadata": {{}}, "cells": []}}'.encode())
