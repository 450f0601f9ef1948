"""What a callable's annotations make of a request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from nbstep_runner.serving import Array, Image, Table
from nbstep_runner.serving.answers import encode_answer, tensors_of
from nbstep_runner.serving.problems import InvalidError
from nbstep_runner.serving.signature import Signature
from nbstep_runner.serving.tensors import Tensor


@dataclass
class House:
    rooms: int
    area: float
    city: str = "Oslo"


class Answer(TypedDict):
    price: float
    label: str


def takes(annotation: Any, **example: Any) -> Signature:
    def function(x: Any) -> None: ...

    function.__annotations__ = {"x": annotation}
    return Signature(function, example)


def given(signature: Signature, value: Any) -> Any:
    return signature.from_json({"x": value}).arguments["x"]


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (float, 1, 1.0),
        (int | None, None, None),
        (str, "a", "a"),
        (bool, True, True),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Literal["a", "b"], "b", "b"),
        (Annotated[int, msgspec.Meta(ge=0)], 3, 3),
        (House, {"rooms": 3, "area": 70}, House(3, 70.0)),
        (list[House], [{"rooms": 3, "area": 70, "city": "Rome"}], [House(3, 70.0, "Rome")]),
        (Any, {"a": [1, None]}, {"a": [1, None]}),
    ],
)
def test_plain_values_get_their_types(annotation: Any, value: Any, expected: Any) -> None:
    found = given(takes(annotation), value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (float, "1", "x: Expected `float`, got `str`"),
        (int, 1.5, "x: Expected `int`, got `float`"),
        (int, True, "x: Expected `int`, got `bool`"),
        (list[float], [1, "b"], "x: Expected `float`, got `str` - at `$[1]`"),
        (Literal["a", "b"], "c", "x: Invalid enum value 'c'"),
        (Annotated[int, msgspec.Meta(ge=0)], -1, "x: Expected `int` >= 0"),
        (House, {"rooms": 3}, "x: Object missing required field `area`"),
        (Annotated[np.ndarray, Array("float32", (-1, 2))], [[1, 2, 3]], "x: expected the shape [-1, 2], not [1, 3]"),
        (Annotated[np.ndarray, Image(2, 2)], [[0, 0], [0, 256]], "x: a number is too large for uint8"),
        (Annotated[np.ndarray, Image(2, 2)], [[0, 0]], "x: expected the shape [2, 2], not [1, 2]"),
        (np.ndarray, "no", "x: expected a list of numbers"),
        (Annotated[pd.DataFrame, Table({"a": int})], [{"b": 1}], "x[0]: expected the columns a"),
        (Annotated[pd.DataFrame, Table({"a": int})], [{"a": 1}, {"a": "x"}], "x.a: Expected `int`, got `str`"),
        (Annotated[pd.DataFrame, Table({"a": int, "b": int})], {"a": [1], "b": [1, 2]}, "x: the columns are not of"),
        (Annotated[pd.DataFrame, Table({"a": int})], [{"a": 2**70}], "x: a number is too large for its column"),
        (Annotated[pd.DataFrame, Table({"a": int})], 5, "x: expected a list of rows"),
    ],
)
def test_a_wrong_value_says_what_and_where(annotation: Any, value: Any, said: str) -> None:
    with pytest.raises(InvalidError) as caught:
        given(takes(annotation), value)
    assert str(caught.value).startswith(said)


def test_arrays_get_type_and_shape() -> None:
    found = given(takes(Annotated[np.ndarray, Array("float32", (-1, 2))]), [[1, 2], [3, 4]])
    assert found.dtype == np.float32
    assert found.shape == (2, 2)
    assert given(takes(npt.NDArray[np.int16]), [1, 2]).dtype == np.int16
    assert given(takes(np.ndarray), [[1], [2]]).dtype == np.float64
    assert given(takes(Annotated[np.ndarray, Image(1, 2, 3)]), [[[0, 1, 2], [3, 4, 255]]]).shape == (1, 2, 3)


def test_tables_come_as_rows_or_columns() -> None:
    signature = takes(Annotated[pd.DataFrame, Table({"rooms": int, "area": float, "city": str})])
    rows = [{"rooms": 3, "area": 70, "city": "Oslo"}, {"city": "Rome", "rooms": 1, "area": 20.5}]
    frame = given(signature, rows)
    assert list(frame.columns) == ["rooms", "area", "city"]
    assert frame["area"].tolist() == [70.0, 20.5]
    assert frame["rooms"].dtype == np.int64
    pd.testing.assert_frame_equal(given(signature, {name: list(frame[name]) for name in frame}), frame)


def test_an_example_says_what_no_annotation_does() -> None:
    frame = pd.DataFrame({"rooms": [3], "area": [70.0]})
    signature = takes(Any, x=frame)
    assert [plan.name for plan in signature.plans] == ["rooms", "area"]
    assert given(signature, [{"rooms": 1, "area": 5}])["area"].dtype == np.float64
    assert signature.example == {"x": [{"rooms": 3, "area": 70.0}]}


def test_names_are_checked_with_a_suggestion() -> None:
    def function(rooms: int, area: float = 50.0) -> None: ...

    signature = Signature(function, {})
    with pytest.raises(InvalidError, match="there is no input 'room'; did you mean 'rooms'"):
        signature.from_json({"room": 3})
    with pytest.raises(InvalidError, match="'rooms' is missing"):
        signature.from_json({"area": 3})
    with pytest.raises(InvalidError, match="JSON object of the inputs"):
        signature.from_json([3])
    assert signature.from_json({"rooms": 3}).arguments == {"rooms": 3, "area": 50.0}


@pytest.mark.parametrize(
    ("function", "example", "said"),
    [
        (lambda x: x, {"y": 1}, "there is no input 'y'"),
        (takes, {}, "signature"),
        (print, {"sep": 1j}, "complex"),
        (dict, {}, "signature"),
    ],
)
def test_what_cannot_be_served_is_refused_when_it_is_offered(function: Any, example: dict[str, Any], said: str) -> None:
    if function is takes:
        function = functools.partial(takes, 1, 2)
    with pytest.raises(TypeError, match=said):
        Signature(function, example)


def test_a_parameter_that_json_cannot_give_is_refused() -> None:
    with pytest.raises(TypeError, match="the parameter 'x' cannot be read from a request"):
        takes(memoryview | list[int] | tuple[int])


def test_methods_partials_and_positional_parameters_are_called_rightly() -> None:
    class Model:
        def predict(self, x: float, /, *, scale: float = 2.0) -> float:
            return x * scale

    cases: list[tuple[Callable[..., Any], float]] = [
        (Model().predict, 6.0),
        (functools.partial(Model().predict, scale=3.0), 9.0),
    ]
    for function, expected in cases:
        arguments = Signature(function, {}).from_json({"x": 3})
        assert function(*arguments.args, **arguments.kwargs) == expected


def test_tensors_for_every_kind_of_input() -> None:
    def function(
        image: Annotated[np.ndarray, Image(2, 2)],
        table: Annotated[pd.DataFrame, Table({"a": int, "s": str})],
        number: float,
        words: list[str],
        house: House,
        flag: bool = False,
    ) -> Answer:
        raise NotImplementedError

    signature = Signature(function, {})
    plans = {plan.name: (plan.datatype, plan.shape) for plan in signature.plans}
    assert plans == {
        "image": ("UINT8", (2, 2)),
        "a": ("INT64", (-1,)),
        "s": ("BYTES", (-1,)),
        "number": ("FP64", (1,)),
        "words": ("BYTES", (-1,)),
        "house": ("BYTES", (1,)),
        "flag": ("BOOL", (1,)),
    }
    assert [(plan.name, plan.datatype) for plan in signature.outputs] == [("price", "FP64"), ("label", "BYTES")]

    def tensor(name: str, value: Any) -> Tensor:
        return Tensor.of(name, np.array(value))

    tensors = {
        "image": Tensor.of("image", np.zeros((1, 2, 2), np.uint8)),
        "a": tensor("a", [1, 2]),
        "s": tensor("s", ["x", "y"]),
        "number": tensor("number", [1.5]),
        "words": tensor("words", ["p", "q"]),
        "house": tensor("house", ['{"rooms": 1, "area": 2}']),
    }
    found = signature.from_tensors(tensors).arguments
    assert found["image"].shape == (2, 2)
    assert found["table"].to_dict("list") == {"a": [1, 2], "s": ["x", "y"]}
    assert (found["number"], found["words"], found["house"], found["flag"]) == (1.5, ["p", "q"], House(1, 2.0), False)
    with pytest.raises(InvalidError, match="the input 's' is missing"):
        signature.from_tensors({name: each for name, each in tensors.items() if name != "s"})
    with pytest.raises(InvalidError, match="expected a tensor of UINT8, not of FP64"):
        signature.from_tensors(tensors | {"image": Tensor.of("image", np.zeros((2, 2)))})


def test_answers_of_numpy_and_pandas_are_json() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    answer = {"s": np.float32(1.5), "v": np.array([1, 2]), "f": frame, "n": float("nan"), "h": House(1, 2.0)}
    assert msgspec.json.decode(encode_answer(answer)) == {
        "s": 1.5,
        "v": [1, 2],
        "f": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        "n": None,
        "h": {"rooms": 1, "area": 2.0, "city": "Oslo"},
    }
    with pytest.raises(TypeError, match="JSON cannot say a object"):
        encode_answer(object())


def test_answers_are_tensors() -> None:
    def names(answer: Any) -> dict[str, tuple[str, Any]]:
        return {each.name: (each.datatype, each.data.tolist()) for each in tensors_of(answer)}

    assert names(3) == {"output": ("INT64", [3])}
    assert names(np.array([[1, 2]], np.float32)) == {"output": ("FP32", [[1.0, 2.0]])}
    assert names("hi") == {"output": ("BYTES", [b"hi"])}
    assert names({"digit": 7, "p": [0.1, 0.9]}) == {"digit": ("INT64", [7]), "p": ("FP64", [0.1, 0.9])}
    assert names({"p": {"a": 0.5}}) == {"p": ("BYTES", [b'{"a":0.5}'])}
    assert names([[1], [2, 3]]) == {"output": ("BYTES", [b"[[1],[2,3]]"])}
    assert names(pd.DataFrame({"a": [1], "b": ["x"]})) == {"a": ("INT64", [1]), "b": ("BYTES", [b"x"])}


def test_the_outputs_are_learned_from_the_example() -> None:
    def function(x: int):  # type: ignore[no-untyped-def] # noqa: ANN202 - it says nothing of its answer
        return {"double": 2 * x, "text": "t"}

    signature = Signature(function, {"x": 2})
    signature.learn()
    assert [(plan.name, plan.datatype) for plan in signature.outputs] == [("double", "INT64"), ("text", "BYTES")]
