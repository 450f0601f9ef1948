"""Given values that a later cell of the notebook would set again are warned of, and nothing else is."""

from __future__ import annotations

import pytest

from nbstep_runner.parameters import overwritten
from support.notebooks import Code, notebook

DECLARED = Code("rate = 0.1", tags=("parameters",))


@pytest.mark.parametrize(
    "cell", ["rate = 0.5", "rate: float = 0.5", "rate, trees = 0.5, 3", "!ls\nrate = 0.5", "def f(): pass\nrate = 0.5"]
)
def test_a_cell_that_sets_the_name_first_is_warned_of(cell: str) -> None:
    (warning,) = overwritten(notebook(["import os", cell, "rate = 1"]), ["rate", "trees_too"])
    assert warning.startswith("cell 1 sets rate before anything has read the given value, which has no effect: make ")
    assert warning.endswith("the notebook's parameters with nbstep tag NOTEBOOK --cell 1")
    (warning,) = overwritten(notebook([DECLARED, cell]), ["rate"])
    assert warning.startswith("cell 1 sets rate before anything has read the given value, which has no effect: take ")
    assert warning.endswith("nbstep untag NOTEBOOK and nbstep tag NOTEBOOK --cell 1")


@pytest.mark.parametrize(
    "cell",
    [
        "rate = float(rate)",
        "rate = rate or 0.5",
        "print(rate)\nrate = 0.5",
        "rate += 1",
        "if fast:\n    rate = 0.5",
        "for rate in rates: pass",
        "!echo {rate}\nrate = 0.5",
        "%%bash\nrate=0.5",
        "def f(rate=1):\n    return rate",
        "rates = 0.5",
        "frame.rate = 0.5",
        "not python at all: rate = 0.5",
        "rate: float",
        "eval('rate')",
    ],
)
def test_a_value_that_may_have_an_effect_is_not(cell: str) -> None:
    assert overwritten(notebook([DECLARED, cell, "rate = 1"]), ["rate"]) == ()


def test_cells_that_do_not_run_or_are_replaced_say_nothing() -> None:
    cells: list[str | Code] = [
        Code("rate = 1", tags=("injected-parameters",)),
        Code("rate = 2", tags=("skip-execution",)),
        "rate",
    ]
    assert overwritten(notebook([DECLARED, *cells]), ["rate"]) == ()


def test_other_languages_are_left_alone() -> None:
    assert overwritten(notebook(["rate = 1"]), ["rate"], language="R") == ()
