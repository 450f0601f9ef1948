"""Which inputs are text, and in which language they are."""

from __future__ import annotations

import pytest

from nbstep_runner.notebook import parse_notebook
from nbstep_runner.notebook.text import text_suffix

pytest.importorskip("jupytext", reason="the jupytext extra is not installed")


@pytest.mark.parametrize(
    ("uri", "suffix"),
    [
        ("a.py", ".py"),
        ("https://host/a.py?token=x.ipynb", ".py"),
        ("gs://bucket/a.Rmd", ".Rmd"),
        ("a.ipynb", None),
        ("a.ipynb?x=.py", None),
        ("-", None),
        ("", None),
        (".py", None),
    ],
)
def test_the_ending_tells_a_text(uri: str, suffix: str | None) -> None:
    assert text_suffix(uri) == suffix


@pytest.mark.parametrize(
    ("uri", "text", "language"),
    [
        ("a.py", "# %%\n1", "python"),
        ("a.R", "x <- 1", "R"),
        ("a.ts", "let x = 1", "typescript"),
        ("a.md", "# T\n```R\nx <- 1\n```", "R"),
    ],
)
def test_a_text_without_kernel_is_in_the_language_of_its_ending(uri: str, text: str, language: str) -> None:
    parsed = parse_notebook(text.encode(), uri)
    assert parsed.content["metadata"]["language_info"] == {"name": language}
    assert parsed.warnings == ()
