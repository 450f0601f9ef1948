"""What a served callable takes and gives: read once from its signature, its annotations and its example."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np

from nbstep_runner.serving.answers import OUTPUT, encode_answer, json_of, tensors_of
from nbstep_runner.serving.kinds import ANY, DATATYPE_OF, Array, Image, Table, is_frame
from nbstep_runner.serving.problems import InvalidError
from nbstep_runner.serving.tensors import Tensor
from nbstep_runner.serving.values import ArrayValue, PlainValue, Schema, TableValue, TensorPlan, Value, bare


@dataclass(frozen=True, slots=True)
class Input:
    """One parameter of the callable; ``default`` only counts where it is not ``required``."""

    name: str
    value: Value
    required: bool
    default: Any = None


class Signature:
    """The inputs and outputs of a callable.

    Args:
        function: Any callable whose signature Python knows.
        example: Arguments by name.

    Raises:
        TypeError: It has no signature, or a parameter that a request cannot give.
    """

    def __init__(self, function: Callable[..., Any], example: Mapping[str, Any]) -> None:
        self._signature = _signature(function)
        self.description = inspect.getdoc(function) if inspect.isroutine(function) else inspect.getdoc(type(function))
        self.inputs: dict[str, Input] = {}
        for name, parameter in self._signature.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            self.inputs[name] = _input(name, parameter, example.get(name))
        names = [plan.name for plan in self.plans]
        if len(names) != len(set(names)):
            raise TypeError("two inputs would be tensors of one name; give the table's columns other names")
        self._answer = (
            Any if self._signature.return_annotation is inspect.Signature.empty else (self._signature.return_annotation)
        )
        self._function = function
        self._learned: tuple[TensorPlan, ...] = ()
        self.example: dict[str, Any] = json_of(dict(example))
        if example:
            self._example_arguments()

    @property
    def plans(self) -> tuple[TensorPlan, ...]:
        """The tensors that it is called with."""
        return tuple(plan for each in self.inputs.values() for plan in each.value.plans(each.name))

    def from_json(self, body: Any) -> inspect.BoundArguments:
        """The arguments of a JSON object of them by name; raises InvalidError where they are none."""
        if not isinstance(body, dict):
            raise InvalidError("expected a JSON object of the inputs by name")
        for name in body:
            if name not in self.inputs:
                raise InvalidError(f"there is no input {name!r}{_suggestion(name, list(self.inputs))}")
        return self._bound({each.name: each.value.from_json(body[each.name], each.name) for each in self._given(body)})

    def from_tensors(self, tensors: Mapping[str, Tensor]) -> inspect.BoundArguments:
        """The arguments of the tensors of an inference request; raises InvalidError where they are none."""
        names = [plan.name for plan in self.plans]
        for name in tensors:
            if name not in names:
                raise InvalidError(f"there is no input {name!r}{_suggestion(name, names)}")
        arguments = {}
        for each in self.inputs.values():
            needed = [plan.name for plan in each.value.plans(each.name)]
            missing = [name for name in needed if name not in tensors]
            if not missing:
                arguments[each.name] = each.value.from_tensors(tensors, each.name)
            elif each.required or len(missing) < len(needed):
                raise InvalidError(f"the input {missing[0]!r} is missing")
        return self._bound(arguments)

    def _given(self, body: Mapping[str, Any]) -> list[Input]:
        for each in self.inputs.values():
            if each.required and each.name not in body:
                raise InvalidError(f"the input {each.name!r} is missing")
        return [each for each in self.inputs.values() if each.name in body]

    def _bound(self, arguments: Mapping[str, Any]) -> inspect.BoundArguments:
        bound = inspect.BoundArguments(self._signature, dict(arguments))
        bound.apply_defaults()
        return bound

    def input_schema(self) -> Schema:
        """JSON Schema of the object that :meth:`from_json` takes."""
        properties = {}
        for each in self.inputs.values():
            properties[each.name] = {"title": each.name, **each.value.schema()}
            if not each.required:
                properties[each.name]["default"] = json_of(each.default)
        required = [each.name for each in self.inputs.values() if each.required]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def output_schema(self) -> Schema:
        """JSON Schema of an answer, as far as its annotation says it."""
        mark = _mark(self._answer)
        if mark is not None:
            return value_of(self._answer, None).schema()
        try:
            return PlainValue(self._answer).schema()
        except TypeError:
            return {}

    def learn(self) -> None:
        """Call the callable with its example, if there is one, and take the outputs' names and types from the answer.

        Raises:
            TypeError: The answer cannot be said.
            Exception: What the callable raised.
        """
        if not self.example:
            return
        arguments = self._example_arguments()
        answer = self._function(*arguments.args, **arguments.kwargs)
        encode_answer(answer)
        self._learned = tuple(
            TensorPlan(tensor.name, tensor.datatype, (ANY,) * tensor.data.ndim) for tensor in tensors_of(answer)
        )

    def _example_arguments(self) -> inspect.BoundArguments:
        try:
            return self.from_json(self.example)
        except InvalidError as error:
            raise TypeError(f"the example is none: {error}") from error

    @property
    def outputs(self) -> tuple[TensorPlan, ...]:
        """The tensors of an answer."""
        mark, kind = _mark(self._answer), bare(self._answer)
        if mark is not None:
            return (
                TensorPlan(
                    OUTPUT, DATATYPE_OF[mark.dtype] if isinstance(mark, Array) else "UINT8", mark.shape or (ANY,)
                ),
            )
        if is_typeddict(kind) or dataclasses.is_dataclass(kind):
            hints = get_type_hints(kind, include_extras=True)
            return tuple(PlainValue(hint).plans(name)[0] for name, hint in hints.items())
        return self._learned or PlainValue(self._answer).plans(OUTPUT)


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except (ValueError, NameError) as error:
        raise TypeError(f"a callable whose signature is not known cannot be served: {error}") from error


def _input(name: str, parameter: inspect.Parameter, example: Any) -> Input:
    empty = inspect.Parameter.empty
    annotation = Any if parameter.annotation is empty else parameter.annotation
    try:
        value = value_of(annotation, example)
    except TypeError as error:
        raise TypeError(f"the parameter {name!r} cannot be read from a request: {error}") from error
    required = parameter.default is empty
    return Input(name, value, required, None if required else parameter.default)


def _mark(annotation: Any) -> Array | Image | None:
    marks = [each for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Array | Image)]
    return marks[-1] if marks else None


def _suggestion(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(map(repr, names)) or 'none'}"


def value_of(annotation: Any, example: Any) -> Value:
    """How an input of that annotation is read.

    Args:
        annotation: Of the parameter; ``Any`` where there is none.
        example: Its value in the example, which tells what a bare annotation does not; ``None`` without one.

    Raises:
        TypeError: No JSON says such a value.
    """
    marks = [part for part in getattr(annotation, "__metadata__", ()) if isinstance(part, Array | Image | Table)]
    kind = bare(annotation)
    if marks:
        return _marked(marks[-1])
    if get_origin(kind) is np.ndarray or kind is np.ndarray:
        return ArrayValue(_dtype_in(kind), None)
    if kind is Any and isinstance(example, np.ndarray):
        return ArrayValue(None, None)
    if is_frame(kind) or (kind is Any and is_frame(type(example))):
        return TableValue(_columns_of(example) if is_frame(type(example)) else {})
    value = PlainValue(annotation)
    value.schema()
    return value


def _marked(mark: Array | Image | Table) -> Value:
    match mark:
        case Image():
            return ArrayValue("uint8", mark.shape, mark)
        case Array():
            return ArrayValue(mark.dtype, mark.shape)
        case Table():
            return TableValue(mark.columns)


def _dtype_in(annotation: Any) -> str | None:
    """The type that ``numpy.typing.NDArray[np.float32]`` and its kind name; ``None`` where any fits."""
    for argument in get_args(annotation)[1:]:
        for scalar in get_args(argument):
            if isinstance(scalar, type) and issubclass(scalar, np.generic):
                name = np.dtype(scalar).name
                return name if name in DATATYPE_OF else None
    return None


def _columns_of(frame: Any) -> dict[str, type]:
    kinds: Mapping[str, type] = {"b": bool, "i": int, "u": int, "f": float}
    return {str(name): kinds.get(frame[name].dtype.kind, str) for name in frame.columns}
