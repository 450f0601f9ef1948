"""The figures as a picture for the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.growth import Growth
    from benchmarks.measure import Measure

COLORS = {
    "nbstep": "#2a6f97",
    "papermill": "#c1666b",
    "jupyter execute": "#e0b061",
    "ploomber-engine": "#7a9e7e",
    "floor": "#a9b4bd",
}


def plot(outcomes: list[tuple[str, dict[str, Measure]]], growth: Growth | None, path: Path) -> None:
    """Draw the ratios to papermill and, where it was measured, the growth with the number of cells."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    size = (10 if growth else 7, 0.6 * len(outcomes) + 1.6)
    figure, axes = plt.subplots(1, 2 if growth else 1, figsize=size, layout="constrained", squeeze=False)
    _draw_ratios(axes[0, 0], outcomes)
    if growth:
        _draw_growth(axes[0, 1], growth)
    for each in axes[0]:
        each.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(COLORS), frameon=False)
    figure.savefig(path, dpi=120)


def _draw_ratios(axes: Any, outcomes: list[tuple[str, dict[str, Measure]]]) -> None:
    for offset, contender in enumerate(COLORS):
        ratios = [medians[contender].seconds / medians["papermill"].seconds for _, medians in outcomes]
        positions = [index + (offset - 2) * 0.17 for index in range(len(outcomes))]
        axes.barh(positions, ratios, 0.15, color=COLORS[contender], label=contender)
    axes.set_yticks(range(len(outcomes)), [name for name, _ in outcomes])
    axes.invert_yaxis()
    axes.set_xlabel("wall time, papermill = 1")


def _draw_growth(axes: Any, growth: Growth) -> None:
    axes.plot(list(growth.seconds), list(growth.seconds.values()), "o-", color=COLORS["nbstep"])
    axes.set_xlabel("cells")
    axes.set_ylabel("seconds")
    axes.set_ylim(bottom=0)
    axes.set_title("nbstep: time grows with the cells, not faster", fontsize=10)
