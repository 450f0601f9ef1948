"""What is measured: notebooks made on the spot. What they are held to stands in ``targets``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat

CLOUD = "hello, cloud extras"
Build = Callable[[], Sequence[str]]

PRINT_LINES = "for i in range({count}): print('a line of output, number', i)"
PRINT_ONCE = "print(('x' * 99 + chr(10)) * {hundreds})"
SHOW_IMAGE = "display({'image/png': base64.b64encode(os.urandom(375_000)).decode()}, raw=True)"  # 500 kB of base64

ENDED_VARIABLE = "BENCH_ENDED"
MARK_END = f"import os, time\nopen(os.environ['{ENDED_VARIABLE}'], 'w').write(str(time.time()))"
"""A last cell: what comes after it is what a run takes to store what the cells have made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A notebook.

    Attributes:
        rounds: How often each contender runs; medians are compared.
        slow: Takes minutes with papermill: run on request only.
        environment: Variables that every contender gets.
    """

    name: str
    cells: Build
    rounds: int = 5
    slow: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the notebook into a folder."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in self.cells()],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        path = folder / f"{self.name.replace(' ', '-').replace(',', '')}.ipynb"
        nbformat.write(notebook, path)
        return path


def trivial(count: int) -> Build:
    """That many cells of one assignment."""
    return lambda: [f"x = {number}" for number in range(count)]


WORKLOADS: tuple[Workload, ...] = (
    Workload(name="hello", cells=lambda: ["print('hello')", "x = 1", "x + 1"], rounds=11),
    Workload(name="250 cells", cells=trivial(250), rounds=3),
    Workload(name="1000 cells", cells=trivial(1000), rounds=1, slow=True),
    Workload(name="100000 lines", cells=lambda: [PRINT_LINES.format(count=100_000)], rounds=3),
    Workload(name="1000000 lines", cells=lambda: [PRINT_LINES.format(count=1_000_000)], rounds=1),
    Workload(name="100 MB in one print", cells=lambda: [PRINT_ONCE.format(hundreds=10**6)], rounds=3),
    Workload(
        name="200 images of 500 kB",
        cells=lambda: ["import base64, os\nfrom IPython.display import display", *[SHOW_IMAGE] * 200],
        rounds=1,
        slow=True,
    ),
)


def cloud_hello(folder: Path) -> Workload:
    """The hello notebook beside the packages of clouds, in a folder: papermill imports all that it finds."""
    hello = WORKLOADS[0]
    return replace(hello, name=CLOUD, environment={"PYTHONPATH": str(folder)})
