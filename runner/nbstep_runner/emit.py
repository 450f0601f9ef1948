"""Results: the one function of nbstep that a notebook calls."""

from __future__ import annotations

import sys
from typing import Any

SCRAP_MIME = "application/scrapbook.scrap.{}+json"
"""scrapbook's MIME type for a value (scrapbook, ``scrap.v1`` schema); text has its own, so that "12" stays text."""


def result(name: str, value: Any) -> None:
    """Report a value of this run by name; it lands, typed, in the run's record.

    Outside a notebook it does nothing, so the same code runs as a plain script. A later value of the same name
    replaces an earlier one. NumPy scalars and arrays, and pandas values, are reported as what they hold.

    Args:
        name: Any non-empty text.
        value: Anything that JSON can say, and NaN and infinities.

    Raises:
        TypeError: JSON cannot say the value, or the name is not text.
    """
    if not isinstance(name, str) or not name:
        raise TypeError("a result's name must be a non-empty string")
    import json

    from nbstep_runner.nonfinite import written

    plain = json.loads(json.dumps(value, default=_plain, allow_nan=True))
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return
    encoder = "text" if isinstance(plain, str) else "json"
    scrap = {"name": name, "data": written(plain), "encoder": encoder, "version": 1}
    ipython.display.publish_display_data(
        {SCRAP_MIME.format(encoder): scrap, "text/plain": f"{name} = {plain!r}"},
        metadata={"scrapbook": {"name": name, "data": True, "display": False}},
    )


def _plain(value: Any) -> Any:
    for method in ("tolist", "isoformat", "to_dict"):
        if callable(convert := getattr(value, method, None)):
            return convert()
    raise TypeError(f"a result must be something that JSON can say, not {type(value).__name__}")
