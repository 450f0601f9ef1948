"""The quick check accepts nothing that nbformat would not."""

from __future__ import annotations

import copy
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep_runner.notebook.format import is_surely_valid

NOTEBOOK: dict[str, Any] = {
    "cells": [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# Title"]},
        {"cell_type": "raw", "id": "b", "metadata": {"format": "text/plain"}, "source": ""},
        {
            "cell_type": "code",
            "execution_count": 1,
            "id": "c",
            "metadata": {"tags": ["parameters"], "collapsed": False, "execution": {"timeout": "5"}},
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "x"},
                {"output_type": "display_data", "data": {"text/plain": ["x"]}, "metadata": {}},
                {"output_type": "execute_result", "data": {}, "metadata": {}, "execution_count": None},
                {"output_type": "error", "ename": "E", "evalue": "", "traceback": []},
            ],
            "source": "x",
        },
    ],
    "metadata": {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python", "version": "3.11"},
        "papermill": {},
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}
PLACES: list[list[str | int]] = [
    ["metadata"],
    ["metadata", "kernelspec"],
    ["metadata", "kernelspec", "display_name"],
    ["metadata", "language_info"],
    ["nbformat"],
    ["nbformat_minor"],
    ["cells"],
    *[["cells", index, key] for index in range(3) for key in ("cell_type", "id", "metadata", "source")],
    ["cells", 2, "execution_count"],
    ["cells", 2, "outputs"],
    *[["cells", 2, "metadata", key] for key in ("tags", "collapsed", "execution", "name", "jupyter")],
    *[["cells", 2, "outputs", index, key] for index in range(4) for key in ("output_type", "data", "metadata", "text")],
    ["cells", 2, "outputs", 0, "name"],
    ["cells", 2, "outputs", 2, "execution_count"],
    ["cells", 2, "outputs", 3, "traceback"],
    ["unknown"],
    ["cells", 0, "unknown"],
    ["cells", 2, "outputs", 0, "unknown"],
]
VALUES = st.sampled_from(
    [
        None,
        0,
        -1,
        5,
        1.5,
        True,
        "",
        "x",
        "a,b",
        "a b",
        "code",
        [],
        ["x"],
        ["x", "x"],
        ["a,b"],
        [1],
        {},
        {"x": 1},
        "REMOVE",
    ]
)


def nbformat_accepts(notebook: dict[str, Any]) -> bool:
    try:
        nbformat.validate(copy.deepcopy(notebook), relax_add_props=False)
    except Exception:  # noqa: BLE001 - of whatever kind: it is not accepted
        return False
    return True


def test_a_valid_notebook_is_accepted() -> None:
    assert nbformat_accepts(NOTEBOOK)
    assert is_surely_valid(NOTEBOOK)


@given(place=st.sampled_from(PLACES), value=VALUES)
@pytest.mark.filterwarnings("ignore")
def test_what_it_accepts_nbformat_accepts(place: list[str | int], value: Any) -> None:
    notebook = copy.deepcopy(NOTEBOOK)
    parent: Any = notebook
    for key in place[:-1]:
        parent = parent[key]
    if value == "REMOVE":
        parent.pop(place[-1], None)
    else:
        parent[place[-1]] = value
    if is_surely_valid(notebook):
        assert nbformat_accepts(notebook)


@pytest.mark.parametrize("minor", [4, 5])
def test_ids_are_demanded_and_unique_since_minor_5(minor: int) -> None:
    notebook = copy.deepcopy(NOTEBOOK)
    notebook["nbformat_minor"] = minor
    notebook["cells"][1]["id"] = "a"
    assert not is_surely_valid(notebook)
    for cell in notebook["cells"]:
        del cell["id"]
    assert is_surely_valid(notebook) == (minor == 4)
