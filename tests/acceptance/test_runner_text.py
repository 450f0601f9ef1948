"""Notebooks that are kept as text run as others do."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.runs import run

pytest.importorskip("jupytext", reason="the jupytext extra is not installed")

PERCENT = """# %% [markdown]
# # Title

# %% tags=["parameters"]
a: int = 1

# %%
print("a is", a)
"""
MARKDOWN = """---
jupyter:
  kernelspec:
    display_name: Python 3
    name: python3
---

# Title

```python tags=["parameters"]
a: int = 1
```

```python
print("a is", a)
```
"""


@pytest.mark.parametrize(
    ("name", "text"), [("in.py", PERCENT), pytest.param("in.md", MARKDOWN, marks=pytest.mark.slow)]
)
def test_a_text_is_a_notebook(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    done = run(tmp_path, tmp_path / name, "-p", "a", "2")
    assert (done.code, done.stderr, done.record["warnings"]) == (0, "", [])
    assert (done.notebook.cells[0].source, done.text(3)) == ("# Title", "a is 2\n")
    assert done.notebook.metadata.kernelspec.name == "python3"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the notebook is empty"),
        (b"# %%\nprint('\xff')\n", "not UTF-8"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a page of HTML"),
    ],
)
def test_a_text_that_is_none_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "in.py").write_bytes(data)
    done = run(tmp_path, tmp_path / "in.py")
    assert (done.code, done.states) == (65, [])
    assert reason in done.error["message"]


def test_parameters_of_a_text_are_checked(tmp_path: Path) -> None:
    (tmp_path / "in.py").write_text(PERCENT)
    done = run(tmp_path, tmp_path / "in.py", "-p", "a", "many")
    assert (done.code, done.states) == (65, [])
    assert "a: 'many' is not of type int" in done.error["message"]
