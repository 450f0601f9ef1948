"""How one input is read: from JSON by its name, or from tensors; and how it describes itself."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import NoneType
from typing import Any, Final, Protocol, get_args, get_origin

import msgspec
import numpy as np

from nbstep_runner.serving.kinds import ANY, DATATYPE_OF, Image
from nbstep_runner.serving.problems import InvalidError
from nbstep_runner.serving.tensors import Tensor, array_of

SCALARS: Final[Mapping[Any, str]] = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}
JSON_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string"}
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """A tensor that an input is read from, or that an output becomes: as the model's metadata says it."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Value(Protocol):
    """One input of a callable."""

    def schema(self) -> Schema:
        """JSON Schema of what :meth:`from_json` takes."""

    def from_json(self, value: Any, name: str) -> Any:
        """The argument; raises InvalidError where the value is none."""

    def plans(self, name: str) -> tuple[TensorPlan, ...]:
        """The tensors that :meth:`from_tensors` reads."""

    def from_tensors(self, tensors: Mapping[str, Tensor], name: str) -> Any:
        """The argument, of the tensors that :meth:`plans` names; raises InvalidError where they are none."""


@dataclass(frozen=True)
class PlainValue:
    """What JSON and Python's annotations say alike: numbers, text, lists, records, and unions of them."""

    annotation: Any

    def schema(self) -> Schema:
        """See :class:`Value`; raises TypeError where the annotation is none that JSON can say."""
        schema = msgspec.json.schema(self.annotation)
        if set(schema) == {"$ref", "$defs"}:
            name = schema["$ref"].rpartition("/")[2]
            schema = {**schema["$defs"][name], "$defs": {k: v for k, v in schema["$defs"].items() if k != name}}
        return {name: part for name, part in schema.items() if part != {}}

    def from_json(self, value: Any, name: str) -> Any:
        try:
            return msgspec.convert(value, self.annotation)
        except msgspec.ValidationError as error:
            raise InvalidError(f"{name}: {error}") from error

    @cached_property
    def _form(self) -> tuple[str, tuple[int, ...]] | None:
        """Datatype and shape where it is a number, a text, or lists of one of them; elsewhere a tensor carries JSON."""
        shape: tuple[int, ...] = ()
        kind = bare(self.annotation)
        while get_origin(kind) is list:
            (kind,) = get_args(kind)
            kind, shape = bare(kind), (*shape, ANY)
        datatype = SCALARS.get(kind)
        return None if datatype is None else (datatype, shape or (1,))

    def plans(self, name: str) -> tuple[TensorPlan, ...]:
        return (TensorPlan(name, *(self._form or ("BYTES", (1,)))),)

    def from_tensors(self, tensors: Mapping[str, Tensor], name: str) -> Any:
        tensor = tensors[name]
        if self._form is None:
            return self.from_json(_from_text(tensor), name)
        datatype, shape = self._form
        if datatype == "BYTES" and tensor.datatype != "BYTES":
            raise InvalidError(f"{name}: expected a tensor of BYTES, not of {tensor.datatype}")
        data = tensor.data
        if shape == (1,):
            if data.size != 1:
                raise InvalidError(f"{name}: expected one element, not {data.size}")
            data = data.reshape(())
        return self.from_json(_decoded(data.tolist(), name), name)


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """A NumPy array, or an image as one.

    ``dtype`` is ``None`` where the callable takes any; ``shape`` is ``None`` for any shape.
    """

    dtype: str | None
    shape: tuple[int, ...] | None
    image: Image | None = None

    @property
    def _dtype(self) -> str:
        return self.dtype or "float64"

    def schema(self) -> Schema:
        element: Schema = {"type": {"b": "boolean", "f": "number"}.get(np.dtype(self._dtype).kind, "integer")}
        if self.image is not None:
            element |= {"minimum": 0, "maximum": 255}
        schema: Schema = element
        for size in reversed(self.shape or (ANY,)):
            schema = {"type": "array", "items": schema}
            if size != ANY:
                schema |= {"minItems": size, "maxItems": size}
        if self.shape is None:
            schema = {"type": "array"}
        kind = "image" if self.image is not None else "array"
        return schema | {"x-nbstep": {"kind": kind, "dtype": self._dtype, "shape": self.shape}}

    def from_json(self, value: Any, name: str) -> np.ndarray:
        if not isinstance(value, list):
            raise InvalidError(f"{name}: expected a list of numbers")
        return self._fitting(array_of(value, self._dtype, name), name)

    def plans(self, name: str) -> tuple[TensorPlan, ...]:
        return (TensorPlan(name, DATATYPE_OF[self._dtype], self.shape or (ANY,)),)

    def from_tensors(self, tensors: Mapping[str, Tensor], name: str) -> np.ndarray:
        tensor = tensors[name]
        if self.dtype is not None and tensor.datatype != DATATYPE_OF[self.dtype]:
            raise InvalidError(f"{name}: expected a tensor of {DATATYPE_OF[self.dtype]}, not of {tensor.datatype}")
        return self._fitting(tensor.data, name)

    def _fitting(self, data: np.ndarray, name: str) -> np.ndarray:
        shape = self.shape
        if shape is None:
            return data
        if self.image is not None and data.shape == (1, *shape):  # clients that only know batches
            data = data[0]
        fits = len(shape) == data.ndim and all(
            size in (ANY, there) for size, there in zip(shape, data.shape, strict=True)
        )
        if not fits:
            raise InvalidError(f"{name}: expected the shape {list(shape)}, not {list(data.shape)}")
        return data


@dataclass(frozen=True, slots=True)
class TableValue:
    """A pandas DataFrame; as tensors, one for each column, of its name."""

    columns: Mapping[str, type]

    def schema(self) -> Schema:
        properties = {name: {"type": JSON_TYPES[kind]} for name, kind in self.columns.items()}
        row: Schema = {"type": "object"}
        if properties:
            row |= {"properties": properties, "required": list(properties), "additionalProperties": False}
        return {"type": "array", "items": row, "x-nbstep": {"kind": "table"}}

    def from_json(self, value: Any, name: str) -> Any:
        """From a list of rows, or a mapping of columns to lists."""
        if isinstance(value, dict):
            return self._frame(value, name)
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise InvalidError(f"{name}: expected a list of rows, each with its columns by name")
        names = list(self.columns) or list(dict.fromkeys(column for row in value for column in row))
        for index, row in enumerate(value):
            if set(row) != set(names):
                raise InvalidError(f"{name}[{index}]: expected the columns {', '.join(names)}")
        return self._frame({column: [row[column] for row in value] for column in names}, name)

    def _frame(self, columns: Mapping[str, Any], name: str) -> Any:
        import pandas as pd

        if self.columns and set(columns) != set(self.columns):
            raise InvalidError(f"{name}: expected the columns {', '.join(self.columns)}")
        checked = {}
        for column in self.columns or columns:
            values = columns[column]
            where = f"{name}.{column}"
            if not isinstance(values, list):
                raise InvalidError(f"{where}: expected a list of values")
            kind = self.columns.get(column)
            checked[column] = values if kind is None else PlainValue(list[kind]).from_json(values, where)  # type: ignore[valid-type] # a type known when it runs
        if len({len(values) for values in checked.values()}) > 1:
            raise InvalidError(f"{name}: the columns are not of one length")
        types = {column: "str" if kind is str else kind.__name__ for column, kind in self.columns.items()}
        frame = pd.DataFrame(checked, columns=list(checked))
        try:
            return frame.astype({column: kind for column, kind in types.items() if kind != "str"})
        except OverflowError as error:
            raise InvalidError(f"{name}: a number is too large for its column") from error

    def plans(self, name: str) -> tuple[TensorPlan, ...]:
        if not self.columns:
            return (TensorPlan(name, "BYTES", (1,)),)
        return tuple(TensorPlan(column, SCALARS[kind], (ANY,)) for column, kind in self.columns.items())

    def from_tensors(self, tensors: Mapping[str, Tensor], name: str) -> Any:
        if not self.columns:
            return self.from_json(_from_text(tensors[name]), name)
        columns = {}
        for column in self.columns:
            data = tensors[column].data
            if data.ndim not in (1, 2) or data.size != len(data):
                raise InvalidError(f"{column}: expected one element for each row")
            columns[column] = _decoded(data.ravel().tolist(), column)
        return self._frame(columns, name)


def bare(annotation: Any) -> Any:
    """An annotation without ``Annotated``, and without ``None`` where it may be that too."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    members = get_args(annotation)
    if NoneType in members and len(members) == 2 and get_origin(annotation) is not dict:
        return bare(next(each for each in members if each is not NoneType))
    return annotation


def _from_text(tensor: Tensor) -> Any:
    """The JSON that a tensor carries."""
    if tensor.datatype != "BYTES" or tensor.data.size != 1:
        raise InvalidError(f"{tensor.name}: expected one element of BYTES that holds JSON")
    try:
        return msgspec.json.decode(tensor.data.ravel()[0])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidError(f"{tensor.name}: not JSON: {error}") from error


def _decoded(value: Any, name: str) -> Any:
    """Text of bytes, however deep in lists."""
    match value:
        case list():
            return [_decoded(each, name) for each in value]
        case builtins.bytes():
            try:
                return value.decode()
            except UnicodeDecodeError as error:
                raise InvalidError(f"{name}: not UTF-8") from error
        case _:
            return value
