"""What a served callable can say of its inputs and outputs, in ``Annotated``, beyond what Python's types say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

DATATYPES: Final = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
"""The tensor data types of the Open Inference Protocol v2, and NumPy's names for them."""
DATATYPE_OF: Final = {dtype: datatype for datatype, dtype in DATATYPES.items()}
ANY: Final = -1
"""The size of a dimension that may have any, as the protocol writes it."""


@dataclass(frozen=True, slots=True)
class Array:
    """A NumPy array: ``Annotated[np.ndarray, Array("float32", (-1, 4))]``.

    Attributes:
        dtype: NumPy's name of its type.
        shape: Its dimensions, -1 for one of any size; ``None`` for any shape.
    """

    dtype: str = "float64"
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DATATYPE_OF or self.dtype == "object":
            raise TypeError(f"an array of {self.dtype!r} cannot be served; say one of {', '.join(DATATYPE_OF)}")


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a NumPy array of ``uint8``: ``Annotated[np.ndarray, Image(28, 28)]``.

    Its shape is ``(height, width)``, and ``(height, width, channels)`` with more than one channel. 0 is black. What is
    drawn on the page to try it is white on black, as in the usual collections of handwritten digits.
    """

    height: int
    width: int
    channels: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return (self.height, self.width) if self.channels == 1 else (self.height, self.width, self.channels)


@dataclass(frozen=True, slots=True)
class Table:
    """A pandas DataFrame: ``Annotated[pd.DataFrame, Table({"rooms": int, "area": float})]``.

    Attributes:
        columns: Their names and types: ``bool``, ``int``, ``float`` or ``str``.
    """

    columns: Mapping[str, type] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in self.columns.items():
            if kind not in (bool, int, float, str):
                raise TypeError(f"the column {name!r} must be bool, int, float or str, not {kind!r}")


def is_frame(kind: Any) -> bool:
    """Whether a type is pandas' DataFrame, which need not be installed."""
    return (getattr(kind, "__module__", ""), getattr(kind, "__name__", "")) in {
        ("pandas", "DataFrame"),
        ("pandas.core.frame", "DataFrame"),
    }
