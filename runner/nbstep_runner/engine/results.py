"""Results: values that a notebook reports by name, in the form that scrapbook glues them."""

from __future__ import annotations

import json
from typing import Any, Final

from nbstep_runner.kernel.kernel_json import is_too_deep

JSON_SCRAP: Final = "application/scrapbook.scrap.json+json"
TEXT_SCRAP: Final = "application/scrapbook.scrap.text+json"
PANDAS_SCRAP: Final = "application/scrapbook.scrap.pandas+json"
SCRAPS: Final = (JSON_SCRAP, TEXT_SCRAP, PANDAS_SCRAP)
FILE: Final = "application/vnd.nbstep.file+json"
"""Ours, beside a scrap whose value is a file's name: where in the kernel's file system the file is."""
LONGEST_PATH: Final = 4096
OLD_RECORD: Final = "application/papermill.record+json"


def results_of(output: dict[str, Any]) -> dict[str, Any]:
    """The results that an output carries, by name.

    scrapbook (``scrap.v1`` schema) writes name, data and encoder; papermill before 1.0 wrote ``{name: value}``.
    """
    data = output.get("data") or {}
    found: dict[str, Any] = {}
    for mime in SCRAPS:
        scrap = data.get(mime)
        if isinstance(scrap, dict) and isinstance(scrap.get("name"), str):
            found[scrap["name"]] = _decoded(scrap.get("data"), scrap.get("encoder"))
    record = data.get(OLD_RECORD)
    if isinstance(record, dict):
        found.update(record)
    return found


def file_of(output: dict[str, Any]) -> str | None:
    """The path of a file that is a result, as the notebook says it; ``None`` where the output carries none."""
    told = (output.get("data") or {}).get(FILE)
    path = told.get("path") if isinstance(told, dict) else None
    return path if isinstance(path, str) and "\0" not in path and len(path) <= LONGEST_PATH else None


def _decoded(data: Any, encoder: Any) -> Any:
    """Scrapbook's JSON encoder keeps some values as JSON text."""
    if encoder == "json" and isinstance(data, str):
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return data
        return data if is_too_deep(value) else value
    return data
