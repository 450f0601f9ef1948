"""How pages say times, texts and values, as filters of templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from markupsafe import Markup

from nbstep.views.text import visible, visible_line
from nbstep_runner.nonfinite import read
from nbstep_runner.page import cut, duration, shown

LONGEST_NUMBER: Final = 10
"""Characters of a number in a table."""


def _moment(text: str) -> str:
    """A time of a record for people, in this machine's zone, until a script writes it in the browser's."""
    try:
        told = f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M %Z}"
    except (ValueError, OverflowError):
        told = text
    return Markup('<time datetime="{}">{}</time>').format(text, told) if text else ""


def zone_here() -> tuple[str, float]:
    """This machine's zone: its name, and by how many minutes it is ahead of UTC now."""
    now = datetime.now().astimezone()
    ahead = now.utcoffset()
    return f"{now:%Z}", ahead.total_seconds() / 60 if ahead else 0.0


def _since_epoch(seconds: float) -> str:
    """A time in seconds since the epoch for people."""
    return _moment(datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds"))


def _values(values: Mapping[str, Any]) -> str:
    pairs = (f"{cut(visible_line(name), 40)}={cut(_brief(value), 40)}" for name, value in values.items())
    return cut(", ".join(pairs), 200)


def _value(value: Any) -> str:
    """A value for people; a number that JSON cannot write as it is, however it is told."""
    with suppress(RecursionError):  # nested as no number is
        value = read(value)
    return visible(shown(value))


def _brief(value: Any) -> str:
    """A value in a table: of a long number what tells it from others; a run's own page has all of it."""
    exact = _value(value)
    return f"{value:.6g}" if isinstance(value, float) and len(exact) > LONGEST_NUMBER else exact


def _short(text: str, length: int = 120) -> str:
    return cut(visible(text), length)


def _words(words: str, state: str) -> str:
    """How a run stands, beside its state."""
    return visible(words.removeprefix(state)).removeprefix(":").strip()


FILTERS: Final[dict[str, Callable[..., str]]] = {
    "brief": _brief,
    "duration": partial(duration, digits=1),
    "moment": _moment,
    "since_epoch": _since_epoch,
    "short": _short,
    "value": _value,
    "values": _values,
    "visible": visible,
    "words": _words,
}
"""How templates say a time, a text and values: as every view does."""
