"""Names of what lies beside an output with its stem, for those who write it and those who read it."""

from __future__ import annotations

from typing import Final

ATTEMPTS: Final = ".attempts"
"""The folder of what earlier attempts left, numbered: ``1.verdict.json``, ``1.log.jsonl``."""
VERDICT_ENDING: Final = ".verdict.json"
LOG_ENDING: Final = ".log.jsonl"
FILES: Final = ".files"
"""The folder of the files that a run has collected, by their paths in its working directory."""
OWN_FOLDERS: Final = (FILES, ".state", ATTEMPTS)
"""Endings of folders that belong to a run: no run is looked for inside, whatever a notebook has put there."""


def of_attempt(number: int, kind: str) -> str:
    """The ending of what an earlier attempt left; ``kind`` is :data:`VERDICT_ENDING` or :data:`LOG_ENDING`."""
    return f"{ATTEMPTS}/{number}{kind}"
