"""Tensors as JSON and as binary data: what is read is what was written, and nothing is rounded or guessed."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nbstep_runner.serving.kinds import DATATYPES
from nbstep_runner.serving.problems import InvalidError
from nbstep_runner.serving.tensors import Tensor, array_of, read_request, write_response

NUMBERS = [dtype for dtype in DATATYPES.values() if dtype not in ("object", "bool")]


def body_of(*inputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **more}).encode()


def read_one(**tensor: Any) -> Tensor:
    return read_request(body_of({"name": "x", **tensor}), None)[1]["x"]


arrays = st.sampled_from([*NUMBERS, "bool"]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
        elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False),
    )
)


@given(arrays, st.booleans())
def test_what_is_written_is_read_again(data: np.ndarray, binary: bool) -> None:
    tensor = Tensor.of("x", data)
    body, length = write_response({}, [tensor], {"x": binary})
    assert (length is not None) is binary
    answer = json.loads(body[:length])
    request = json.dumps({"inputs": answer["outputs"]}).encode()
    _, found = read_request(request + (body[length:] if length is not None else b""), len(request))
    assert found["x"].datatype == tensor.datatype
    assert found["x"].data.dtype == data.dtype
    np.testing.assert_array_equal(found["x"].data, data)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=5), st.booleans())
def test_text_comes_back(texts: list[str], binary: bool) -> None:
    body, length = write_response({}, [Tensor.of("x", np.array(texts, dtype=object))], {"x": binary})
    request = json.dumps({"inputs": json.loads(body[:length])["outputs"]}).encode()
    _, found = read_request(request + (body[length:] if length is not None else b""), len(request))
    assert [each.decode() for each in found["x"].data] == texts


@pytest.mark.parametrize("data", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]])
def test_data_may_be_flat_or_nested(data: list[Any]) -> None:
    assert read_one(shape=[2, 3], datatype="INT32", data=data).data.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        ({"shape": [1], "datatype": "INT64", "data": [1.5]}, "expected elements of int64"),
        ({"shape": [2**62] * 20_000, "datatype": "INT64", "data": [1]}, "no array has the shape of 20000 dimensions"),
        ({"shape": [1] * 65, "datatype": "INT64", "data": [1]}, "no array has the shape"),
        ({"shape": [2**63, 0], "datatype": "INT64", "data": []}, "no array has the shape"),
        ({"shape": [2], "datatype": "INT64", "data": [True, 2]}, "expected elements of int64"),
        ({"shape": [1], "datatype": "FP32", "data": ["1"]}, "expected elements of float32"),
        ({"shape": [1], "datatype": "FP32", "data": [None]}, "expected elements of float32"),
        ({"shape": [1], "datatype": "BOOL", "data": [1]}, "expected elements of bool"),
        ({"shape": [1], "datatype": "BYTES", "data": [1]}, "expected elements of text"),
        ({"shape": [1], "datatype": "UINT8", "data": [256]}, "too large for uint8"),
        ({"shape": [1], "datatype": "INT8", "data": [-129]}, "too large for int8"),
        ({"shape": [1], "datatype": "UINT64", "data": [-1]}, "too large for uint64"),
        ({"shape": [1], "datatype": "FP32", "data": [1e39]}, "too large for float32"),
        ({"shape": [1], "datatype": "INT64", "data": [2**70]}, "expected elements of int64"),
        ({"shape": [2], "datatype": "INT64", "data": [1]}, "1 elements do not have the shape [2]"),
        ({"shape": [-1], "datatype": "INT64", "data": [1]}, "1 elements do not have the shape [-1]"),
        ({"shape": [2, 2], "datatype": "INT64", "data": [[1, 2], [3]]}, "not of one shape"),
        ({"shape": [2, 2], "datatype": "BYTES", "data": [["a", "b"], ["c"]]}, "not of one shape"),
        ({"shape": [1], "datatype": "FP31", "data": [1]}, "no datatype 'FP31'"),
        ({"shape": [1], "datatype": "INT64"}, "neither data nor binary_data_size"),
        ({"shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": 9}}, "not the size of data"),
        ({"shape": [1], "datatype": "INT64", "parameters": {"binary_data_size": True}}, "not the size of data"),
        ({"shape": [0], "datatype": "INT64", "data": [], "dta": 1}, "dta"),
    ],
)
def test_a_wrong_tensor_says_what_is_wrong(tensor: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidError) as caught:
        read_one(**tensor)
    assert said in str(caught.value)


def test_binary_data_has_to_fit() -> None:
    def read(datatype: str, shape: list[int], data: bytes) -> None:
        head = body_of(
            {"name": "x", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
        )
        read_request(head + data, len(head))

    for datatype, shape, data, said in [
        ("FP32", [1], b"\0\0\0", "no whole number"),
        ("BOOL", [1], b"\2", "0 or 1"),
        ("BYTES", [1], b"\4\0\0\0abc", "ends within an element"),
        ("BYTES", [1], b"\1\0", "ends within an element"),
        ("FP32", [2], b"\0\0\0\0", "do not have the shape"),
    ]:
        with pytest.raises(InvalidError, match=said):
            read(datatype, shape, data)
    head = body_of()
    with pytest.raises(InvalidError, match="belong to no input"):
        read_request(head + b"x", len(head))
    for length in (-1, len(head) + 1):
        with pytest.raises(InvalidError, match="Inference-Header-Content-Length"):
            read_request(head, length)


def test_binary_data_is_little_endian() -> None:
    data = struct.pack("<ff", 1.5, -2.0)
    head = body_of({"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}})
    assert read_request(head + data, len(head))[1]["x"].data.tolist() == [1.5, -2.0]
    body, length = write_response({}, [Tensor.of("x", np.array([1.5, -2.0], ">f4"))], {"x": True})
    assert length is not None
    assert body[length:] == data


def test_an_input_given_twice_is_refused() -> None:
    tensor = {"name": "x", "shape": [1], "datatype": "INT64", "data": [1]}
    with pytest.raises(InvalidError, match="given twice"):
        read_request(body_of(tensor, tensor), None)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"inputs": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidError, match="not an inference request"):
        read_request(body, None)


def test_complex_numbers_have_no_tensor() -> None:
    with pytest.raises(TypeError, match="no tensors of complex128"):
        Tensor.of("x", np.array([1j]))


def test_a_truth_value_is_no_number_however_deep() -> None:
    with pytest.raises(InvalidError):
        array_of([[1.0, 2.0], [3.0, True]], "float64", "x")
