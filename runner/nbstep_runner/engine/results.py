"""Results: values that a notebook reports by name, in the form that scrapbook glues them."""

from __future__ import annotations

import json
from typing import Any, Final

from nbstep_runner.engine.outputs import size_of_value
from nbstep_runner.kernel.kernel_json import is_too_deep

JSON_SCRAP: Final = "application/scrapbook.scrap.json+json"
TEXT_SCRAP: Final = "application/scrapbook.scrap.text+json"
PANDAS_SCRAP: Final = "application/scrapbook.scrap.pandas+json"
SCRAPS: Final = (JSON_SCRAP, TEXT_SCRAP, PANDAS_SCRAP)
FILE: Final = "application/vnd.nbstep.file+json"
"""Ours, beside a scrap whose value is a file's name: where in the kernel's file system the file is."""
LONGEST_PATH: Final = 4096
RESULT_BYTES: Final = 16 * 2**20
"""What the results of a run may take in its record, which every list of runs reads whole."""
NAME_SHOWN: Final = 100
RESULT_OVERHEAD: Final = 64
"""Bytes that a result takes beside its name and its value."""
FILES_KEPT: Final = 1000
OLD_RECORD: Final = "application/papermill.record+json"


class Reported:
    """What a notebook has reported so far: values and files, of a name the latest, as far as there is room for them.

    Attributes:
        results: Values by name.
        files: Paths of files that are results, in order.
    """

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.files: dict[str, None] = {}
        self._sizes: dict[str, int] = {}
        self._room = RESULT_BYTES
        self._first_left_out: str | None = None
        self._more_files = False

    def note(self, output: dict[str, Any]) -> None:
        """Take what an output carries; an earlier value whose successor has no room goes too, for it holds no more."""
        for name, value in results_of(output).items():
            self._room += self._sizes.pop(name, 0)
            size = RESULT_OVERHEAD + size_of_value({name: value})
            if size <= self._room:
                self.results[name], self._sizes[name] = value, size
                self._room -= size
                continue
            self.results.pop(name, None)
            self._first_left_out = name if self._first_left_out is None else self._first_left_out
        if (path := file_of(output)) is not None:
            if path in self.files or len(self.files) < FILES_KEPT:
                self.files[path] = None
            else:
                self._more_files = True

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was left out."""
        told = []
        if self._first_left_out is not None:
            name = self._first_left_out[:NAME_SHOWN]
            told.append(f"results of more than {RESULT_BYTES // 2**20} MB are not in the record: first {name!r}")
        if self._more_files:
            told.append(f"more than {FILES_KEPT} files are reported as results: the others are not collected for that")
        return tuple(told)


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
