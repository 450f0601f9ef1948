"""The figures as a picture for the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from growth import Growth
    from measure import Measure

COLORS = {"nbstep": "#2a6f97", "papermill": "#c1666b", "jupyter execute": "#e0b061", "floor": "#a9b4bd"}


def plot(outcomes: list[tuple[str, dict[str, Measure]]], growth: Growth | None, path: Path) -> None:
    """Draw the ratios to papermill, and the growth with the number of cells."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 0.45 * len(outcomes) + 2), layout="constrained")
    names = [name for name, _ in outcomes]
    for offset, contender in enumerate(COLORS):
        ratios = [medians[contender].seconds / medians["papermill"].seconds for _, medians in outcomes]
        positions = [index + (offset - 1.5) * 0.21 for index in range(len(names))]
        left.barh(positions, ratios, 0.19, color=COLORS[contender], label=contender)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set_xlabel("wall time, papermill = 1")
    left.legend(frameon=False)
    if growth:
        right.plot(list(growth.seconds), list(growth.seconds.values()), "o-", color=COLORS["nbstep"])
        right.set_xlabel("cells")
        right.set_ylabel("seconds")
        right.set_ylim(bottom=0)
        right.set_title("nbstep: time grows with the cells, not faster", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
