"""What a notebook's parameters cell becomes in KFP's types."""

from __future__ import annotations

from typing import Any

import pytest

from nbstep.steps.ports import Artifact, check_names, input_parameter, result_kind
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import MISSING, Signature, read_signature
from support import notebooks


def signature(source: str) -> Signature:
    return read_signature(notebooks.notebook([notebooks.Code(source, ("parameters",))]))


@pytest.mark.parametrize(
    ("declaration", "kind", "default"),
    [
        ("x: int = 3", "NUMBER_INTEGER", 3),
        ("x: float = 3", "NUMBER_DOUBLE", 3.0),
        ("x: bool = True", "BOOLEAN", True),
        ("x: str = 'a'", "STRING", "a"),
        ("x = 'a'", "STRING", "a"),
        ("x: list[int] = [1, 2]", "LIST", [1, 2]),
        ("x: dict[str, float] = {'a': 1}", "STRUCT", {"a": 1}),
        ("x: Literal['a', 'b'] = 'a'", "STRING", "a"),
        ("x: int | None = None", "NUMBER_INTEGER", MISSING),
        ("x: float = float('nan')", "NUMBER_DOUBLE", MISSING),
        ("x: int = 2**60", "NUMBER_INTEGER", MISSING),
        ("x: Path = Path('a')", "STRING", "a"),
    ],
)
def test_a_declared_type_is_kfps_own(declaration: str, kind: str, default: Any) -> None:
    (parameter,) = signature(declaration).parameters
    found = input_parameter(parameter)
    assert (found.kind, found.default, found.optional, found.text) == (kind, default, True, False)


@pytest.mark.parametrize("declaration", ["x: int | str = 5", "x = None", "x: Whatever = f()"])
def test_what_kfp_has_no_single_type_for_goes_as_text(declaration: str) -> None:
    (parameter,) = signature(declaration).parameters
    found = input_parameter(parameter)
    assert (found.kind, found.default, found.text) == ("STRING", MISSING, True)


def test_a_parameter_without_a_default_is_required() -> None:
    (parameter,) = signature("x: int").parameters
    assert not input_parameter(parameter).optional


def test_an_artifact_finds_its_parameter_by_name() -> None:
    declared = signature("model_path: str = 'm'\ndata: str = 'd'\nother: str = 'o'")
    assert Artifact("Model").slot("model", declared).parameter == "model_path"
    assert Artifact("Dataset").slot("data", declared).parameter == "data"
    assert Artifact("Model", parameter="other").slot("model", declared).parameter == "other"
    assert Artifact("Model", environment="MODEL_DIR").slot("model", declared).environment == "MODEL_DIR"


def test_an_artifact_that_no_parameter_takes_is_refused() -> None:
    with pytest.raises(BadInputError, match="no parameter of the notebook takes the place of the artifact model"):
        Artifact("Model").slot("model", signature("x: int = 1"))


def test_unknown_types_and_taken_names_are_refused() -> None:
    with pytest.raises(BadInputError, match="KFP has no artifact type 'Modell'"):
        _ = Artifact("Modell").title
    with pytest.raises(BadInputError, match="cannot be of type flaot"):
        result_kind("rmse", "flaot")
    with pytest.raises(BadInputError, match="'metrics' cannot name an output"):
        check_names({"metrics": float}, {})
    with pytest.raises(BadInputError, match="as a result and as an artifact"):
        check_names({"model": str}, {"model": "Model"})
    assert (result_kind("all", list[int]), result_kind("by", dict[str, int])) == ("LIST", "STRUCT")
    assert result_kind("rmse", "float") == result_kind("rmse", float) == "NUMBER_DOUBLE"
