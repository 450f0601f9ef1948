"""A contender: all sets of a sweep by papermill's API, in processes.

Usage: ``python papermill_sweep.py NOTEBOOK FOLDER SETS PROCESSES``. The sets are ``n`` from 0 on.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import papermill


def execute(task: tuple[Path, Path, int]) -> None:
    """Run one set."""
    notebook, folder, n = task
    papermill.execute_notebook(notebook, folder / f"out-{n}.ipynb", {"n": n}, progress_bar=False)


if __name__ == "__main__":
    with ProcessPoolExecutor(int(sys.argv[4]), mp_context=get_context("spawn")) as pool:
        list(pool.map(execute, [(Path(sys.argv[1]), Path(sys.argv[2]), n) for n in range(int(sys.argv[3]))]))
