"""Names of what lies in a run's folder, and beside an output with its stem: for those who write and those who read."""

from __future__ import annotations

from typing import Final

OUTPUT: Final = "output.ipynb"
"""The executed notebook of a run that has a folder of its own."""
RECORD: Final = "output.result.json"
"""The record beside :data:`OUTPUT`."""
SPEC: Final = "spec.json"
"""What was asked for, in the same folder."""
PLAN: Final = "sweep.json"
"""What was asked for of a sweep that was submitted, in a folder of its own."""

RECORD_ENDING: Final = ".result.json"
PAGE_ENDING: Final = ".html"
PARTIAL_ENDING: Final = ".partial.ipynb"
LOG_ENDING: Final = ".log.jsonl"
ATTEMPTS: Final = ".attempts"
"""The folder of what earlier attempts left, numbered: ``1.verdict.json``, ``1.log.jsonl``."""
OWN_ENDINGS: Final = (PAGE_ENDING, PARTIAL_ENDING, LOG_ENDING)
"""Endings of what a run may leave beside its notebook and its record."""
VERDICT_ENDING: Final = ".verdict.json"
FILES: Final = ".files"
"""The folder of the files that a run has collected, by their paths in its working directory."""
STATE: Final = ".state"
"""The folder of what is stored of the run's state."""
OWN_FOLDERS: Final = (FILES, STATE, ATTEMPTS)
"""Endings of folders that belong to a run: no run is looked for inside, whatever a notebook has put there."""


def of_attempt(number: int, kind: str) -> str:
    """The ending of what an earlier attempt left; ``kind`` is :data:`VERDICT_ENDING` or :data:`LOG_ENDING`."""
    return f"{ATTEMPTS}/{number}{kind}"
