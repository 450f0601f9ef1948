"""Which value an annotation, or an example where there is none, means an input to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

import numpy as np

from nbstep_runner.serving.kinds import DATATYPE_OF, Array, Image, Table, is_frame
from nbstep_runner.serving.values import ArrayValue, PlainValue, TableValue, Value, bare


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
