"""The page of a notebook; what nbconvert cannot render is told, and is no fault of the run."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("nbconvert", reason="the html extra is not installed")

from nbconvert.exporters import HTMLExporter

from nbstep_runner.errors import BadInputError
from nbstep_runner.session.html import render_html

NOTEBOOK = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}).encode()


def test_a_notebook_has_a_page_with_its_name() -> None:
    assert b"<title>report</title>" in render_html(NOTEBOOK, "report")


def test_what_cannot_be_rendered_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the template is broken\nin many lines")

    monkeypatch.setattr(HTMLExporter, "from_notebook_node", fail)
    with pytest.raises(BadInputError) as caught:
        render_html(NOTEBOOK, "report")
    assert caught.value.message == "the notebook has no HTML page: RuntimeError: the template is broken"
