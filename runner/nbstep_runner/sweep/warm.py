"""What every run imports, compiles and looks up: once for all of them, before the first is forked."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import Final

import msgspec

from nbstep_runner.contract import RunSpec
from nbstep_runner.notebook import parse_notebook
from nbstep_runner.page import renderer
from nbstep_runner.parameters import read_signature
from nbstep_runner.session.environment import describe_environment

MODULES: Final = (
    "nbstep_runner.kernel.forked",
    "nbstep_runner.parameters.languages.python",
    "nbstep_runner.stores.local",
)
REHEARSAL: Final = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {},
    "cells": [
        {
            "cell_type": "code",
            "id": "rehearsal",
            "metadata": {"tags": ["parameters"]},
            "source": "rate: float = 0.1  # a comment",
            "outputs": [],
            "execution_count": None,
        }
    ],
}


def warm_up(specs: Iterable[RunSpec]) -> None:
    """Import, compile and look up what these runs need, best effort; no thread is started, and nothing is left open."""
    for name in MODULES:
        with suppress(ImportError):
            import_module(name)
    describe_environment()
    _rehearse()
    for allow in {spec.html_allow for spec in specs if spec.html}:
        renderer(allow).rehearse()
    gc.collect()
    gc.freeze()  # the runs' collectors pass over what they share, and do not copy it
    gc.enable()


def _rehearse() -> None:
    """Understand a notebook: regular expressions are compiled and types are prepared when they are first used."""
    from nbstep_runner.papermill_bridge import parameterize

    notebook = parse_notebook(msgspec.json.encode(REHEARSAL)).content
    read_signature(notebook)
    parameterize(notebook, {"rate": 1.0}, kernel=None, language=None, report_mode=False, input_uri="", output_uri="")
