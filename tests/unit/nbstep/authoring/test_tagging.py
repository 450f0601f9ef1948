"""Tagging changes the tag and no other byte, however the file is laid out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep.authoring.notebook import StoredNotebook, parse
from nbstep.authoring.tagging import assigns_only_literals, likely_cell, tagged_cell, with_tag, without_tag
from nbstep_runner.errors import BadInputError


def notebook(text: str) -> StoredNotebook:
    return StoredNotebook("n.ipynb", *parse(text.encode()), "v1")


def content(*metadata: dict[str, Any]) -> dict[str, Any]:
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "execution_count": None,
            "metadata": each,
            "outputs": [],
            "source": "x = 1 # \u00e9 \U0001f30d",
        }
        for each in metadata
    ]
    return {"cells": cells, "metadata": {"metadata": {"tags": []}}, "nbformat": 4, "nbformat_minor": 5}


LAYOUTS = [
    {"indent": 1},
    {"indent": 2},
    {"indent": "\t"},
    {},
    {"separators": (",", ":")},
    {"indent": 1, "ensure_ascii": False},
]
METADATA = st.dictionaries(
    st.sampled_from(["collapsed", "jupyter", 'a"b', "editable"]),
    st.one_of(st.booleans(), st.text(max_size=3), st.fixed_dictionaries({"k": st.integers()})),
    max_size=3,
)
TAGS = st.lists(st.sampled_from(["skip-execution", "remove-cell", "\u00e9"]), max_size=3, unique=True)


@given(METADATA, TAGS, st.booleans(), st.sampled_from(LAYOUTS))
def test_the_tag_is_added_and_taken_away_again_to_the_byte(
    metadata: dict[str, Any], tags: list[str], tagless: bool, layout: dict[str, Any]
) -> None:
    own = metadata if tagless or not tags else metadata | {"tags": tags}
    text = json.dumps(content({}, own), **layout)
    tagged = with_tag(notebook(text), 1)

    expected = json.loads(text)
    expected["cells"][1]["metadata"]["tags"] = [*own.get("tags", []), "parameters"]
    assert json.loads(tagged) == expected
    assert without_tag(notebook(tagged), 1) == text


@pytest.mark.parametrize("indent", [1, 2, 4])
def test_the_file_looks_as_if_jupyter_had_saved_it(indent: int) -> None:
    text = json.dumps(content({}, {"editable": True}), indent=indent)
    for index in (0, 1):
        expected = json.loads(text)
        expected["cells"][index]["metadata"]["tags"] = ["parameters"]
        assert with_tag(notebook(text), index) == json.dumps(expected, indent=indent)


def test_a_tagged_cell_stays_as_it_is() -> None:
    text = json.dumps(content({"tags": ["parameters"]}))
    assert with_tag(notebook(text), 0) == text
    assert tagged_cell(notebook(text)) == 0


def test_a_second_cell_is_not_tagged() -> None:
    stored = notebook(json.dumps(content({"tags": ["parameters"]}, {})))
    with pytest.raises(BadInputError, match="cell 0 is tagged already"):
        with_tag(stored, 1)


@pytest.mark.parametrize("index", [-1, 2])
def test_a_cell_that_is_not_there_is_refused(index: int) -> None:
    with pytest.raises(BadInputError, match="there is no cell"):
        with_tag(notebook(json.dumps(content({}, {}))), index)


@pytest.mark.parametrize(
    ("source", "literal"),
    [
        ("a = 1\nb: int = 2  # two\nc = ['x', {'y': None}]\nd = -1.5", True),
        ("a: int", True),
        ("# only a comment", False),
        ("import os\na = 1", False),
        ("a = b = 1", False),
        ("a.b = 1", False),
        ("a = f(1)", False),
        ("a = f'{b}'", False),
        ("%matplotlib inline\na = 1", False),
        ("", False),
        ("a = (", False),
    ],
)
def test_the_first_cell_of_literals_is_proposed(source: str, literal: bool) -> None:
    assert assigns_only_literals(source) is literal
    cells = content({}, {})
    cells["cells"][0]["source"] = ["import os\n", "os.getcwd()"]
    cells["cells"][1]["source"] = source.splitlines(keepends=True)
    assert likely_cell(notebook(json.dumps(cells))) == (1 if literal else None)
