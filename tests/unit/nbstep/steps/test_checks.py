"""What a step refuses when it is declared or called, and in which words."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from nbstep.steps import Artifact, NotebookStep, notebook_step
from nbstep.steps.chain import chain
from nbstep_runner.errors import BadInputError
from support import notebooks

CELL = """
from datetime import date

n: int
rate: float = 0.5
name: str = 'a'
limit: int | None = None
most: int | None = 5
columns: list[int] = [1, 2]
either: int | str = 3
day: date = date(2020, 1, 1)
days: list[date] = []
"""


def step(folder: Path, cell: str = CELL, **options: Any) -> NotebookStep:
    path = notebooks.write(folder / "work.ipynb", [notebooks.Code(cell, ("parameters",)), "1"])
    results = {"whole": int, "share": float, "label": str, "all": list}
    return notebook_step(path, **{"image": "image:1", "results": results, "artifacts": {}} | options)


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        ("notebook_digest: str = ''", {}, "notebook_digest has the name of a step's own input"),
        ("data: str = ''", {"inputs": {"data": "Dataset"}, "artifacts": {"data": "Dataset"}}, "to be told by data"),
        ("model_path: str = ''", {"artifacts": {"model": "Model", "model_path": "Model"}}, "to be told by model_path"),
        (
            "x: str = ''",
            {"artifacts": {"a": Artifact(environment="DIR"), "b": Artifact(environment="DIR")}},
            r"are to be told by \$DIR",
        ),
        ("model: int = 1", {"artifacts": {"model": "Model"}}, "model is int, which cannot hold the place"),
        ("model: str = ''", {"artifacts": {"model": "Model"}, "values": {"model": "m"}}, "model .* has a fixed value"),
        (
            "data: str = ''\nplace: str = ''",
            {"inputs": {"data": Artifact("Dataset", parameter="place")}},
            "data .* is an artifact and a parameter",
        ),
        ("x: str = ''", {"inputs": {"a b": Artifact(parameter="x")}}, "'a b' cannot name an artifact"),
        ("password: str", {"values": {"pasword": "x"}}, "no parameter 'pasword'"),
        ("x: int = 1", {"values": {"x": "b"}}, "'b' is not of type int"),
        ("x: int = 1", {"name": "../up"}, r"cannot be named '\.\./up'"),
        ("x: int = 1", {"name": ""}, "cannot be named ''"),
        ("x: int = 1", {"runs": "https://me:hunter2@host/runs"}, "runs of step work holds credentials"),
    ],
)
def test_declarations_that_do_not_fit_are_refused(
    tmp_path: Path, cell: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInputError, match=message) as caught:
        step(tmp_path, cell, **options)
    assert caught.value.hint


def test_a_step_is_shown_without_its_notebook(tmp_path: Path) -> None:
    assert "cells" not in repr(step(tmp_path))


def test_a_notebook_has_one_place(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="one place"):
        step(tmp_path, source="/notebooks/work.ipynb", upload_to=str(tmp_path / "there"))


def test_a_step_that_was_not_called_is_named(tmp_path: Path) -> None:
    one = step(tmp_path)
    with pytest.raises(BadInputError, match="work is no step with its arguments"):
        chain([one], tmp_path / "runs")  # type: ignore[list-item]  # the mistake itself
    with pytest.raises(BadInputError, match="work is no step with its arguments"):
        one(n=1).after(one)


def test_a_notebook_without_a_parameters_cell_says_so(tmp_path: Path) -> None:
    path = notebooks.write(tmp_path / "bare.ipynb", ["1"])
    with pytest.raises(BadInputError, match="takes no parameter 'n'") as caught:
        notebook_step(path)(n=1)
    assert "nbstep tag" in caught.value.hint


def test_a_refused_step_uploads_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no parameter 'y'"):
        step(tmp_path, values={"y": 1}, upload_to=str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("name", "output", "message"),
    [
        ("n", "label", "n of step work takes int, but is given str"),
        ("n", "share", "n of step work takes int, but is given float"),
        ("name", "whole", "name of step work takes str, but is given int"),
        ("either", "all", "either of step work takes str, but is given list"),
        ("columns", "label", "columns of step work takes list, but is given str"),
        ("n", "notebook", "n is int, which cannot hold the place of the artifact n"),
    ],
)
def test_an_output_of_another_type_is_refused(tmp_path: Path, name: str, output: str, message: str) -> None:
    first = step(tmp_path)(n=1)
    with pytest.raises(BadInputError, match=message) as caught:
        step(tmp_path)(**{"n": 2, name: first.outputs[output]})
    assert caught.value.hint


@pytest.mark.parametrize(("name", "output"), [("rate", "whole"), ("either", "whole"), ("name", "notebook")])
def test_an_output_that_can_be_read_as_the_type_is_taken(tmp_path: Path, name: str, output: str) -> None:
    first = step(tmp_path)(n=1)
    second = step(tmp_path)(**{"n": 2, name: first.outputs[output]})
    assert list(second.connected) == [name]


def test_an_artifact_of_another_type_is_refused(tmp_path: Path) -> None:
    made = step(tmp_path, "place: str = ''", artifacts={"place": "Model"})()
    with pytest.raises(BadInputError, match="data of step work takes Dataset, but is given Model"):
        step(tmp_path, "data: str = ''", inputs={"data": "Dataset"})(data=made.outputs["place"])
    with pytest.raises(BadInputError, match="data of step work takes Dataset, but is given str"):
        step(tmp_path, "data: str = ''", inputs={"data": "Dataset"})(data=step(tmp_path)(n=1).outputs["label"])
    assert step(tmp_path, "data: str = ''", inputs={"data": "Dataset"})(data=made.outputs["notebook"]).connected


def test_none_is_an_input_left_out_or_refused(tmp_path: Path) -> None:
    assert step(tmp_path)(n=1, limit=None).constants == {"n": 1}
    with pytest.raises(BadInputError, match=r"most of step work cannot be None: .* left out it is '5'") as caught:
        step(tmp_path)(n=1, most=None)
    assert "values={'most': None}" in caught.value.hint
    assert step(tmp_path, values={"most": None}).plan().values == {"most": None}
    with pytest.raises(BadInputError, match="n: no value is given"):
        step(tmp_path)(n=None)


@pytest.mark.parametrize(
    ("arguments"), [{"n": 2**60}, {"n": 1, "rate": float("nan")}, {"n": 1, "columns": [1, 2**60]}], ids=str
)
def test_numbers_that_kfp_would_change_are_refused(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="holds a number that KFP does not carry"):
        step(tmp_path)(**arguments)


def test_values_travel_as_json(tmp_path: Path) -> None:
    constants = step(tmp_path)(
        n=1, rate=2, columns=(3,), either=2**60, day=dt.date(2022, 1, 1), days=[dt.date(2022, 1, 2)]
    ).constants
    assert constants == {
        "n": 1,
        "rate": 2.0,
        "columns": [3],
        "either": str(2**60),
        "day": "2022-01-01",
        "days": ["2022-01-02"],
    }
    assert type(constants["rate"]) is float


ANY = "either: int | str = 3\nanything = None\nchoice: bool | list[int] | dict[str, int] = True"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"either": 5}, "5"),
        ({"either": "five"}, "five"),
        ({"anything": True}, "True"),
        ({"anything": 1.5}, "1.5"),
        ({"anything": "true"}, "true"),
        ({"anything": [1, None, {"a": True}]}, '[1, null, {"a": true}]'),
        ({"choice": {"a": 1}}, '{"a": 1}'),
    ],
    ids=str,
)
def test_what_kfp_has_no_type_for_goes_as_text(tmp_path: Path, arguments: dict[str, Any], text: str) -> None:
    assert list(step(tmp_path, ANY)(**arguments).constants.values()) == [text]


@pytest.mark.parametrize(
    "arguments", [{"either": "5"}, {"anything": "5"}, {"anything": "[1]"}, {"anything": "True"}], ids=str
)
def test_a_text_that_would_be_read_as_something_else_is_refused(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match="would not be read as what it is") as caught:
        step(tmp_path, ANY)(**arguments)
    assert "values=" in caught.value.hint


def test_a_whole_step_is_no_value(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="n of step work is given a whole step"):
        step(tmp_path)(n=step(tmp_path)(n=1))


def test_an_output_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no output 'nope'") as caught:
        _ = step(tmp_path)(n=1).outputs["nope"]
    assert caught.value.hint == "It has notebook, html, metrics, whole, share, label, all."
