"""Tensors of the Open Inference Protocol v2, as JSON and as its binary extension writes them."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from nbstep_runner.serving.kinds import DATATYPE_OF, DATATYPES
from nbstep_runner.serving.problems import InvalidError

SIZE: Final = "binary_data_size"
LENGTH: Final = struct.Struct("<I")
"""What stands before each element of a ``BYTES`` tensor in its binary form."""

MOST_DIMENSIONS: Final = 64
"""Of an array of NumPy."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named array; the elements of one of ``BYTES`` are Python's ``bytes``."""

    name: str
    datatype: str
    data: np.ndarray

    @classmethod
    def of(cls, name: str, value: np.ndarray) -> Tensor:
        """A tensor of any array whose type the protocol has; text becomes ``BYTES`` in UTF-8.

        Raises:
            TypeError: The protocol has no type for it.
        """
        if value.dtype.kind in "USO":
            elements = [each.encode() if isinstance(each, str) else each for each in value.ravel().tolist()]
            if not all(isinstance(each, bytes) for each in elements):
                raise TypeError("a tensor's elements must be numbers, truth values or text")
            data = np.empty(len(elements), dtype=object)
            data[:] = elements
            return cls(name, "BYTES", data.reshape(value.shape))
        if value.dtype.name not in DATATYPE_OF:
            raise TypeError(f"the protocol has no tensors of {value.dtype.name}")
        return cls(name, DATATYPE_OF[value.dtype.name], value)


class TensorHead(msgspec.Struct, forbid_unknown_fields=True):
    """A tensor of a request as its JSON says it."""

    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: Any = msgspec.UNSET


class OutputHead(msgspec.Struct, forbid_unknown_fields=True):
    """An output that a request asks for."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON of ``POST /v2/models/NAME/infer``; without ``outputs`` all are wanted."""

    inputs: list[TensorHead]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[OutputHead] = []


def read_request(body: bytes, header_length: int | None) -> tuple[InferRequest, dict[str, Tensor]]:
    """A request's JSON and its tensors by name.

    Args:
        body: The whole body.
        header_length: How many bytes of it are JSON; the rest is binary data. ``None``: all of it.

    Raises:
        InvalidError: Anything in it is not as the protocol or its binary extension says.
    """
    if header_length is not None and not 0 <= header_length <= len(body):
        raise InvalidError("Inference-Header-Content-Length is not the length of a part of the body")
    try:
        request = msgspec.json.decode(body[:header_length], type=InferRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidError(f"not an inference request: {error}") from error
    binary = memoryview(body)[len(body) if header_length is None else header_length :]
    tensors: dict[str, Tensor] = {}
    for head in request.inputs:
        if head.name in tensors:
            raise InvalidError(f"the input {head.name!r} is given twice")
        size = head.parameters.get(SIZE)
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary)):
            raise InvalidError(f"{head.name}: {SIZE} is not the size of data that follows the JSON")
        tensors[head.name] = _read_json(head) if size is None else _read_binary(head, binary[:size])
        binary = binary[size or 0 :]
    if binary:
        raise InvalidError(f"{len(binary)} bytes of binary data belong to no input")
    return request, tensors


def _read_json(head: TensorHead) -> Tensor:
    if head.data is msgspec.UNSET:
        raise InvalidError(f"{head.name}: neither data nor {SIZE} is given")
    return Tensor(head.name, head.datatype, shaped(head, array_of(head.data, dtype_of(head), head.name)))


def _read_binary(head: TensorHead, data: memoryview) -> Tensor:
    if head.data is not msgspec.UNSET:
        raise InvalidError(f"{head.name}: both data and {SIZE} are given")
    dtype = dtype_of(head)
    if dtype == "object":
        return Tensor(head.name, head.datatype, shaped(head, _elements(data, head.name)))
    item = np.dtype(dtype).newbyteorder("<")
    if len(data) % item.itemsize:
        raise InvalidError(f"{head.name}: {len(data)} bytes are no whole number of {head.datatype}")
    flat = np.frombuffer(data, item)
    if dtype == "bool" and (flat.view(np.uint8) > 1).any():
        raise InvalidError(f"{head.name}: a BOOL is one byte, 0 or 1")
    return Tensor(head.name, head.datatype, shaped(head, flat.astype(dtype)))


def _elements(data: memoryview, name: str) -> np.ndarray:
    found: list[bytes] = []
    while data:
        if len(data) < LENGTH.size or len(data) - LENGTH.size < (length := LENGTH.unpack_from(data)[0]):
            raise InvalidError(f"{name}: its binary data ends within an element")
        found.append(bytes(data[LENGTH.size : LENGTH.size + length]))
        data = data[LENGTH.size + length :]
    elements = np.empty(len(found), dtype=object)
    elements[:] = found
    return elements


def dtype_of(head: TensorHead) -> str:
    """NumPy's name for a tensor's type; raises InvalidError where the protocol has none of that name."""
    if head.datatype not in DATATYPES:
        raise InvalidError(f"{head.name}: no datatype {head.datatype!r}; the protocol has {', '.join(DATATYPES)}")
    return DATATYPES[head.datatype]


def shaped(head: TensorHead, data: np.ndarray) -> np.ndarray:
    """The elements in the shape that is said; JSON may nest them or not."""
    if len(head.shape) > MOST_DIMENSIONS:  # their product would take long, and no array has it
        raise InvalidError(f"{head.name}: no array has the shape of {len(head.shape)} dimensions")
    if any(size < 0 for size in head.shape) or math.prod(head.shape) != data.size:
        raise InvalidError(f"{head.name}: {data.size} elements do not have the shape {head.shape}")
    try:
        return data.reshape(head.shape)
    except (ValueError, OverflowError) as error:  # more dimensions, or a larger one, than NumPy has
        raise InvalidError(f"{head.name}: no array has the shape {head.shape}") from error


def array_of(value: Any, dtype: str, name: str) -> np.ndarray:
    """An array of one type of nested JSON lists, nothing rounded, cut off or guessed.

    Raises:
        InvalidError: The lists are ragged, or an element is not of that type.
    """
    if dtype == "object":
        return _text_of(value, name)
    try:
        data = np.array(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise InvalidError(f"{name}: the lists are not of one shape") from error
    if data.size == 0:
        return data.astype(dtype)
    wanted = np.dtype(dtype)
    allowed = {"b": "b", "f": "iuf"}.get(wanted.kind, "iu")
    if data.dtype.kind not in allowed or (wanted.kind != "b" and _holds_truth(value)):
        raise InvalidError(f"{name}: expected elements of {dtype}")
    with np.errstate(over="ignore"):
        converted = data.astype(wanted)
    fits = bool(np.isfinite(converted).all()) if wanted.kind == "f" else bool((converted == data).all())
    if not fits:
        raise InvalidError(f"{name}: a number is too large for {dtype}")
    return converted


def _holds_truth(value: Any) -> bool:
    """Whether a truth value hides among numbers, where NumPy would count it as one."""
    if isinstance(value, list):
        return any(map(_holds_truth, value))
    return isinstance(value, bool)


def _text_of(value: Any, name: str) -> np.ndarray:
    """Text in nested lists, each as UTF-8."""
    shape: list[int] = []
    level = value if isinstance(value, list) else [value]
    while level and isinstance(level[0], list):
        shape.append(len(level))
        if any(not isinstance(row, list) or len(row) != len(level[0]) for row in level):
            raise InvalidError(f"{name}: the lists are not of one shape")
        level = [each for row in level for each in row]
    if not all(isinstance(each, str) for each in level):
        raise InvalidError(f"{name}: expected elements of text")
    data = np.empty(len(level), dtype=object)
    data[:] = [each.encode() for each in level]
    if not isinstance(value, list):
        return data.reshape(())
    sizes = [size // before for before, size in zip([1, *shape], [*shape, len(level)], strict=True)]
    try:
        return data.reshape(sizes)
    except ValueError as error:  # more dimensions than NumPy has
        raise InvalidError(f"{name}: the lists are nested too deep") from error


def write_response(
    head: Mapping[str, Any], tensors: Sequence[Tensor], binary: Mapping[str, bool]
) -> tuple[bytes, int | None]:
    """The body of an answer, and how many bytes of it are JSON; ``None`` where all of it is.

    Args:
        head: What the JSON says besides the outputs.
        tensors: The outputs.
        binary: Which of them, by name, are wanted as binary data.
    """
    outputs, parts = [], []
    for tensor in tensors:
        output: dict[str, Any] = {"name": tensor.name, "shape": tensor.data.shape, "datatype": tensor.datatype}
        if binary.get(tensor.name):
            parts.append(_binary(tensor))
            output["parameters"] = {SIZE: len(parts[-1])}
        else:
            output["data"] = _json(tensor)
        outputs.append(output)
    text = msgspec.json.encode({**head, "outputs": outputs})
    return b"".join((text, *parts)), len(text) if parts else None


def _json(tensor: Tensor) -> list[Any]:
    flat: list[Any] = tensor.data.ravel().tolist()
    return [each.decode("utf-8", "replace") for each in flat] if tensor.datatype == "BYTES" else flat


def _binary(tensor: Tensor) -> bytes:
    if tensor.datatype == "BYTES":
        return b"".join(LENGTH.pack(len(each)) + each for each in tensor.data.ravel().tolist())
    return np.ascontiguousarray(tensor.data, np.dtype(DATATYPES[tensor.datatype]).newbyteorder("<")).tobytes()
