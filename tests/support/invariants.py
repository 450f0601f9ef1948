"""What has to hold after every run, however it ended; the numbers are those of ``docs/reliability.md``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import dropwhile
from pathlib import Path
from typing import Any

import nbformat

from nbstep_runner.stores import below

FINAL = {"succeeded", "failed", "cancelled"}
MARKER = "papermill-error-cell-tag"
UNFINISHED = {"not_run", "pending"}
STATES_OF_A_STOP = {"failed", "timed_out", "interrupted"}
CODES_OF_CANCELLED = {130, 143}
OUTPUT_CONFLICT = 73  # then the record is another run's


def violations(output: Path, *, code: int | None, before: bytes | None = None) -> list[str]:
    """Every broken promise about what a run left behind.

    Args:
        output: Where its notebook was to go.
        code: The exit code; ``None`` or below zero where the runner itself was killed.
        before: What was at the output's place when it began.
    """
    record_path = output.with_suffix("").with_suffix(".result.json")
    found = [*_output(output, before)]
    if record_path.exists():
        try:
            record = json.loads(record_path.read_bytes())
        except ValueError:
            return [*found, "I1: the record is not JSON"]
        if code is not None and code >= 0 and code != OUTPUT_CONFLICT:
            found += _verdict(record, code, output)
        if record["state"] == "succeeded":
            found += _success(record, output)
        found += _files(record, output)
    elif code == 0:
        found.append("I3: exit code 0 without a record")
    return found


def _output(output: Path, before: bytes | None) -> Iterator[str]:
    if not output.is_file():
        if before is not None:
            yield "I2: the old output is gone"
        return
    data = output.read_bytes()
    if data == before:
        return
    try:
        nbformat.validate(nbformat.reads(data.decode(), as_version=4))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is not a notebook
        yield f"I1: the output is not a valid notebook ({type(error).__name__}: {str(error)[:200]})"


def _verdict(record: dict[str, Any], code: int, output: Path) -> Iterator[str]:
    state, error = record["state"], record["error"]
    if state not in FINAL:
        yield f"I3: exit code {code}, but the record says {state}"
        return
    if record["exit_code"] != code:
        yield f"I3: exit code {code}, but the record says {record['exit_code']}"
    if (state == "succeeded") != (code == 0) or (error is None) != (code == 0):
        yield f"I3: exit code {code} with state {state} and error {error and error['reference']}"
    if (state == "cancelled") != (code in CODES_OF_CANCELLED):
        yield f"I3: exit code {code} with state {state}"
    yield from _cells(record["cells"], stopped=bool(error and error["cell_index"] is not None))
    checksum = record["output_checksum"]
    if checksum:
        data = output.read_bytes() if output.exists() else b""
        if checksum != f"sha256:{hashlib.sha256(data).hexdigest()}":
            yield "I3: the record's checksum is not that of the output"
        elif data:
            yield from _notebook(json.loads(data), record)


def _files(record: dict[str, Any], output: Path) -> Iterator[str]:
    """What the record names as collected lies there as it says."""
    for file in record.get("files", ()):
        path = Path(below(str(output.with_suffix("").with_suffix(".files")), file["path"]))
        if not path.is_file() or f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" != file["checksum"]:
            yield f"I3: the record names the file {file['path']!r}, which is not there as it says"


def _cells(cells: list[dict[str, Any]], *, stopped: bool) -> Iterator[str]:
    """After the first cell that was not reached, none is; the one before it is the one that stopped the run."""
    states = [cell["state"] for cell in cells]
    rest = list(dropwhile(lambda state: state not in UNFINISHED, states))
    if any(state not in UNFINISHED for state in rest):
        yield f"I3: cells were run after one that was not: {states}"
    reached = [state for state in states[: len(states) - len(rest)] if state != "skipped"]
    if stopped and (not reached or reached[-1] not in STATES_OF_A_STOP):
        yield f"I3: the cell that stopped the run is called {reached[-1:]}"
    if "running" in states:
        yield "I3: a cell of an ended run is called running"


def _notebook(notebook: dict[str, Any], record: dict[str, Any]) -> Iterator[str]:
    """The executed notebook says of itself what the record says of it."""
    if "nbstep" not in notebook["metadata"]:
        return  # only prepared, not run
    if notebook["metadata"]["nbstep"]["state"] != record["state"]:
        yield f"I3: the notebook says {notebook['metadata']['nbstep']['state']}, the record {record['state']}"
    counted = [cell for cell in notebook["cells"] if MARKER not in cell["metadata"].get("tags", ())]
    for cell in record["cells"]:
        metadata = counted[cell["index"]]["metadata"]
        if metadata["nbstep"]["state"] != cell["state"]:
            yield f"I3: cell {cell['index']}: notebook {metadata['nbstep']['state']}, record {cell['state']}"
        if (metadata["papermill"]["status"] == "completed") != (cell["state"] == "succeeded"):
            yield f"I3: cell {cell['index']} is {cell['state']}, papermill's status {metadata['papermill']['status']}"


def _success(record: dict[str, Any], output: Path) -> Iterator[str]:
    if not output.exists():
        yield "I3: the record says succeeded, and there is no output"
    if any(cell["state"] in STATES_OF_A_STOP | {"running"} for cell in record["cells"]) and not record["warnings"]:
        yield "I3: the record says succeeded, and a cell did not"
