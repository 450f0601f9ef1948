"""Plots as SVG, in the page's own colour: a point for each pair of numbers.

Each text has a line of its own, because a notebook that is not trusted is shown without pictures, as their texts alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

WIDTH: Final = 260
HEIGHT: Final = 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 10, 8, 36


def scatter(points: Sequence[tuple[float, float]], *, x: str, y: str) -> str:
    """``y`` against ``x``.

    Args:
        points: Finite numbers.
        x: The name of the first of each pair.
        y: The name of the second.
    """
    xs, ys = (
        _Scale([point[0] for point in points], _LEFT, WIDTH - _RIGHT),
        _Scale([point[1] for point in points], HEIGHT - _BOTTOM, _TOP),
    )
    dots = "\n".join(
        f'<circle cx="{xs.at(a):.1f}" cy="{ys.at(b):.1f}" r="3.5" fill="#2f81d6" fill-opacity=".75">'
        f"<title>{escape(x)} {a:g}, {escape(y)} {b:g}</title></circle>"
        for a, b in points
    )
    base, left = HEIGHT - _BOTTOM, _LEFT
    axes = (
        f'<path d="M{left} {_TOP}V{base}H{WIDTH - _RIGHT}" fill="none" stroke="currentColor" stroke-opacity=".5"/>'
        f"{_label(left, base + 14, f'{xs.low:g}', 'start')}{_label(WIDTH - _RIGHT, base + 14, f'{xs.high:g}', 'end')}"
        f"{_label(left - 4, base, f'{ys.low:.4g}', 'end')}{_label(left - 4, _TOP + 9, f'{ys.high:.4g}', 'end')}"
        f"{_label((left + WIDTH - _RIGHT) / 2, HEIGHT - 6, x, 'middle')}{_label(left + 6, _TOP + 9, y, 'start')}"
    )
    return (
        f'<svg role="img" aria-label="{escape(y)} against {escape(x)}" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" font-size="11" fill="currentColor">{axes}\n{dots}\n</svg>'
    )


class _Scale:
    """From numbers to pixels; a single number lies in the middle."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self.low, self.high = min(values), max(values)
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self._begin + share * (self._end - self._begin)


def _label(x: float, y: float, text: str, anchor: str) -> str:
    short = text if len(text) <= 24 else f"{text[:23]}…"
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(short)}</text>\n'
