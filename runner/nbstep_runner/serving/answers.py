"""What a callable answered, as JSON and as tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
import numpy as np

from nbstep_runner.serving.kinds import is_frame
from nbstep_runner.serving.tensors import Tensor

OUTPUT: Final = "output"
"""The name of the only output, where the answer is not a mapping of names."""


def encode_answer(value: Any) -> bytes:
    """An answer as JSON; NaN and infinity, which JSON does not have, become null.

    Raises:
        TypeError: JSON cannot say it.
    """
    return msgspec.json.encode(value, enc_hook=_plain)


def json_of(value: Any) -> Any:
    """What JSON says of a value, as Python has it; raises TypeError where it says nothing."""
    return msgspec.json.decode(encode_answer(value))


def tensors_of(answer: Any) -> list[Tensor]:
    """An answer as tensors: one for each name of a mapping or record, else one.

    Raises:
        TypeError: Neither a tensor nor JSON can say a part of it.
    """
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        answer = {each.name: getattr(answer, each.name) for each in dataclasses.fields(answer)}
    if is_frame(type(answer)):
        answer = {str(name): answer[name].to_numpy() for name in answer.columns}
    named = answer if isinstance(answer, Mapping) else {OUTPUT: answer}
    return [_tensor(str(name), value) for name, value in named.items()]


def _tensor(name: str, value: Any) -> Tensor:
    """A value as a tensor; one of BYTES that holds JSON where it has no other form."""
    with suppress(TypeError, ValueError):
        data = np.asarray(value)
        if data.dtype.kind not in "USO" or _is_text(value):
            return Tensor.of(name, data if data.ndim else data.reshape(1))
    return Tensor.of(name, np.array([encode_answer(value)], dtype=object))


def _is_text(value: Any) -> bool:
    """Whether every element is text, where NumPy would make text of a number among words."""
    elements = np.asarray(value, dtype=object).ravel().tolist()
    return all(isinstance(each, str | bytes) for each in elements)


def _plain(value: Any) -> Any:
    """What JSON says of a value that msgspec does not know: NumPy's and pandas' scalars, arrays, series and frames.

    Raises:
        TypeError: Nothing.
    """
    if is_frame(type(value)):
        return value.to_dict("records")
    for method in ("tolist", "isoformat"):
        convert: Callable[[], Any] | None = getattr(value, method, None)
        if callable(convert):
            return convert()
    raise TypeError(f"JSON cannot say a {type(value).__name__}")
