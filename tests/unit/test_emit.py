"""What a notebook reports is exact in the record, or refused."""

from __future__ import annotations

import json
from typing import Any

import IPython
import numpy as np
import pytest

from nbstep_runner import result


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The data of what is reported, as it goes to the runner."""
    seen: list[Any] = []

    def publish(bundle: dict[str, Any], **_: Any) -> None:
        seen.extend(scrap["data"] for mime, scrap in bundle.items() if "scrapbook" in mime)

    monkeypatch.setattr(IPython, "get_ipython", object)
    monkeypatch.setattr(IPython.display, "publish_display_data", publish)
    return seen


MOMENT = "2026-01-02T03:04:05.123456789"
RECORD = np.dtype([("at", "datetime64[ns]"), ("days", "datetime64[D]", 2), ("inner", [("n", "i8"), ("o", object)])])


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (np.datetime64(MOMENT), MOMENT),
        (np.array([MOMENT], "datetime64[ns]"), [MOMENT]),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (np.int64(2**62), 2**62),
        (np.float32(0.5), 0.5),
        (np.array([[1.0, np.nan]]), [[1.0, {"$number": "NaN"}]]),
        (np.array(5), 5),
        (np.array([(MOMENT, ["2026-01-02"] * 2, (1, None))], RECORD), [[MOMENT, ["2026-01-02"] * 2, [1, None]]]),
        (np.array((MOMENT, ["2026-01-02"] * 2, (1, None)), RECORD), [MOMENT, ["2026-01-02"] * 2, [1, None]]),
        (np.ma.array([MOMENT, MOMENT], "datetime64[ns]", mask=[False, True]), [MOMENT, None]),
        (np.bool_(True), True),  # noqa: FBT003 - NumPy's signature
        ({"a": (1, None)}, {"a": [1, None]}),
    ],
)
def test_values_arrive_as_what_they_hold(reported: list[Any], value: Any, data: Any) -> None:
    result("v", value)
    assert reported == [data]


@pytest.mark.parametrize(
    "value",
    [
        np.timedelta64(1, "ns"),
        np.array([1], "timedelta64[ns]"),
        np.array([(1,)], [("d", "timedelta64[ns]")]),
        np.complex128(1j),
        np.poly1d([1, 2]),
        np.sin,
        np.longdouble("0.1"),
        {1},
        b"x",
        object(),
        json.loads("[" * 101 + "]" * 101),
        ["half a pair: \ud83d"],
    ],
)
def test_what_json_cannot_say_is_refused(reported: list[Any], value: Any) -> None:
    with pytest.raises(TypeError, match="a result must be"):
        result("v", value)
    assert reported == []


def test_so_is_a_name_that_utf_8_cannot_say_and_no_other_text(reported: list[Any]) -> None:
    with pytest.raises(TypeError, match="half of a surrogate pair"):
        result("\ude00", 1)
    result("\\ud83d", "\U0001f600 \\ud83d")
    assert reported == ["\U0001f600 \\ud83d"]
