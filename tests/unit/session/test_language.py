"""Whose word counts for the language of a notebook."""

from __future__ import annotations

from typing import Any

import pytest

from nbstep_runner.contract import RunSpec
from nbstep_runner.errors import KernelUnavailableError
from nbstep_runner.kernel import specs
from nbstep_runner.session.work import language_of

SAYS_PYTHON: dict[str, Any] = {"metadata": {"language_info": {"name": "python"}}}


@pytest.fixture(autouse=True)
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> specs.KernelSpec:
        if name != "ir":
            raise KernelUnavailableError("there is none")
        return specs.KernelSpec(name="ir", argv=("R",), language="R")

    monkeypatch.setattr(specs, "find", find)


@pytest.mark.parametrize(
    ("notebook", "language", "kernel", "expected"),
    [
        (SAYS_PYTHON, None, None, "python"),
        (SAYS_PYTHON, "julia", "ir", "julia"),
        (SAYS_PYTHON, None, "ir", "R"),
        (SAYS_PYTHON, None, "missing", "python"),
        ({"metadata": {"kernelspec": {"name": "ir"}}}, None, None, "R"),
        ({"metadata": {**SAYS_PYTHON["metadata"], "kernelspec": {"name": "ir"}}}, None, None, "R"),
        ({"metadata": {"kernelspec": {"name": "x", "language": "bash"}}}, None, None, "bash"),
        ({"metadata": {"kernelspec": 3, "language_info": "x"}}, None, None, None),
        ({"metadata": {"kernelspec": {"name": "ir", "language": 5}, "language_info": {"name": ""}}}, None, None, "R"),
        ({"metadata": None}, None, None, None),
        ({}, None, None, None),
    ],
)
def test_the_callers_word_then_the_notebooks_then_the_kernels(
    notebook: dict[str, Any], language: str | None, kernel: str | None, expected: str | None
) -> None:
    spec = RunSpec(run_id="r", input_uri="i", output_uri="o", language=language, kernel=kernel)
    assert language_of(spec, notebook) == expected
