"""Makes ``run.svg``: a real run on a terminal, and the figures of ``docs/performance.md`` as bars below it.

Run ``.venv/bin/python docs/images/make_run.py [FILE]`` on a quiet machine: the times are the run's own.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from html import escape
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import MONOKAI

from nbstep.views.terminal import RunView

ROOT: Final = Path(__file__).parents[2]
RUNNER: Final = Path(sys.executable).with_name("nbstep-runner")
RUN: Final = ["notebooks/digits/train.ipynb", "digits.ipynb", "--html"]
FIGURES: Final = ROOT / "docs" / "performance.md"
SHOWN: Final = ("hello", "250 cells", "1000 cells", "1000000 lines", "200 images of 500 kB")
"""The workloads of the chart, as the table of figures names them."""

WIDTH: Final = 1238
ROW: Final = 40
LEFT, RIGHT = 270, 1060
"""Where a bar begins, and where papermill's ends."""


def terminal() -> str:
    """What a terminal shows of the run, as SVG."""
    console = Console(record=True, file=StringIO(), width=100)
    console.print(f"[bold]$[/] nbstep run {' '.join(RUN)}", highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "notebooks").symlink_to(ROOT / "notebooks")
        command: list[str] = [str(RUNNER), *RUN, "--log-format", "json"]
        runner = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE)  # noqa: S603 - the runner itself, no shell
        with runner, RunView(console) as view:
            for line in runner.stdout or ():
                view.feed(line)
    console.print()
    if runner.returncode:
        sys.exit(runner.returncode)
    picture = console.export_svg(title="nbstep run", theme=MONOKAI)
    # rich's template fetches its font from elsewhere; the reader's own monospace font does as well
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    return picture.replace("Fira Code", "DejaVu Sans Mono, Menlo, Consolas")


def figures() -> dict[str, tuple[str, str]]:
    """How long nbstep and papermill take, by workload."""
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+ s) \| ([\d.]+ s) \|", FIGURES.read_text(), re.MULTILINE)
    return {workload: (ours, theirs) for workload, ours, theirs in rows}


def chart() -> str:
    """A pair of bars for each workload, papermill's all of one length."""
    measured = figures()
    text = 'font-family="system-ui, sans-serif" font-size="19" fill="#d9d9d9"'
    parts = [
        f'<rect x="1" y="1" width="{WIDTH - 2}" height="{chart_height() - 2}" rx="8" fill="#0c0c0c" stroke="#666"/>',
        f'<text x="36" y="44" {text} font-weight="600">Time of a run: nbstep and papermill 2.7</text>',
    ]
    for index, workload in enumerate(SHOWN):
        ours, theirs = measured[workload]
        top = 66 + ROW * index
        length = (RIGHT - LEFT) * seconds(ours) / seconds(theirs)
        parts += [
            f'<text x="{LEFT - 16}" y="{top + 22}" text-anchor="end" {text}>{escape(workload)}</text>',
            f'<rect x="{LEFT}" y="{top + 4}" width="{RIGHT - LEFT}" height="24" rx="3" fill="#3a3f44"/>',
            f'<rect x="{LEFT}" y="{top + 4}" width="{max(length, 3):.1f}" height="24" rx="3" fill="#58a6d6"/>',
            f'<text x="{LEFT + max(length, 3) + 10:.1f}" y="{top + 22}" {text}>{ours}</text>',
            f'<text x="{RIGHT + 12}" y="{top + 22}" {text}>{theirs}</text>',
        ]
    return "\n".join(parts)


def chart_height() -> int:
    """Of the whole chart."""
    return 66 + ROW * len(SHOWN) + 22


def seconds(text: str) -> float:
    """A time as the table writes it."""
    return float(text.removesuffix(" s"))


def main(file: Path) -> None:
    """Draw the run, and the chart below it."""
    shown = terminal()
    (size,) = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', shown)
    width, height = map(float, size)
    inner = shown.replace("<svg ", f'<svg width="{width}" height="{height}" ', 1)
    below = f'<g transform="translate(0 {height + 8}) scale({width / WIDTH:.4f})">\n{chart()}\n</g>'
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height + 8 + chart_height()}">'
    file.write_text(f"{whole}\n{inner}\n{below}\n</svg>\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("run.svg"))
