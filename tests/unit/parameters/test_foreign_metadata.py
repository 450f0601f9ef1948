"""What others wrote where papermill's metadata belongs does not end a run."""

from __future__ import annotations

from typing import Any

import pytest

from nbstep_runner.papermill_bridge import parameterize


@pytest.mark.parametrize("foreign", [3, "x", [], {"parameters": 3, "default_parameters": None}])
def test_it_is_replaced(foreign: Any) -> None:
    notebook = {"cells": [], "metadata": {"papermill": foreign}, "nbformat": 4, "nbformat_minor": 5}
    prepared = parameterize(
        notebook, {"n": 1}, kernel=None, language="python", report_mode=False, input_uri="in", output_uri="out"
    )
    papermill = prepared["metadata"]["papermill"]
    assert papermill["parameters"] == {"n": 1}
    assert papermill["default_parameters"] == {}
