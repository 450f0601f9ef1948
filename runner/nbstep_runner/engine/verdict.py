"""How a run ends, as data: the error of a cell, or of what stopped it, in words for people.

A GPU that is too small or missing is told in words too: libraries say it each in their own way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from nbstep_runner.contract import ErrorInfo, RunState
from nbstep_runner.engine.messages import Raised
from nbstep_runner.engine.text import without_ansi
from nbstep_runner.errors import CellFailedError, ExitCode, InterruptedRunError, NbstepError, TerminatedError

LONGEST_REASON: Final = 1000
"""Characters of an error's own words in a line that says how a run ended; the record has more of them."""
_GPU_TOO_SMALL: Final = re.compile(
    r"(CUDA|HIP|GPU)\b.{0,500}\bout of memory|OutOfMemoryError: .{0,500}(CUDA|HIP|GPU|allocating [\d,]+ bytes)"
    r"|RESOURCE_EXHAUSTED: Out of memory|ResourceExhaustedError: .{0,500}OOM when allocating"
    r"|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
_GPU_MISSING: Final = re.compile(
    r"Found no NVIDIA driver|No CUDA GPUs are available|no CUDA-capable device|not compiled with CUDA enabled"
    r"|CUDA driver version is insufficient|cudaErrorNoDevice|torch\.cuda\.is_available\(\) is False"
    r"|Unknown backend:? '?(gpu|cuda)|No visible GPU devices",
    re.IGNORECASE,
)
_GPU_TOO_SMALL_HINT: Final = (
    "The GPU's memory was too small, not the machine's: take a smaller batch or model, or a GPU with more memory."
)
_GPU_MISSING_HINT: Final = (
    "There is no GPU here that the notebook can use: ask for one (--gpu 1) and take an image for it, or run on CPUs."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the run does not go on after a cell: an error, or none where all is done or the notebook asked to end."""

    error: ErrorInfo | None
    exit_code: ExitCode
    state: RunState


SUCCESS: Final = Verdict(None, ExitCode.SUCCEEDED, RunState.SUCCEEDED)


def failure(index: int, cell: dict[str, Any], raised: Raised, complaint: str) -> Verdict:
    """The verdict for a cell that raised.

    Args:
        index: The cell's.
        cell: The cell.
        raised: What, without secrets.
        complaint: The last line that it printed to stderr, for kernels that say no more.
    """
    said = f"raised {described(raised)}" if raised.name else f"failed{_reason(raised.value, complaint)}"
    lines = [without_ansi(line) for part in raised.traceback for line in part.splitlines()]
    info = replace(
        info_of(CellFailedError(f"cell {index} {said}", hint=gpu_hint(described(raised))), index, cell),
        exception_name=raised.name,
        exception_value=without_ansi(raised.value),
        traceback=tuple(lines),
    )
    return Verdict(info, CellFailedError.exit_code, RunState.FAILED)


def unanswered(index: int) -> CellFailedError:
    """A kernel that goes on, without a reply for the cell."""
    return CellFailedError(
        f"the kernel is done with cell {index} and has not said how it ended",
        hint="An interrupt (SIGINT) that meets a kernel between two cells has this effect: run again, without it.",
    )


def described(raised: Raised) -> str:
    """An error in a line: its name and the first line of its value."""
    return ": ".join(part for part in (raised.name, _first_line(raised.value)) if part) or "an error without a name"


def _reason(value: str, complaint: str) -> str:
    """Why a cell failed whose error has no name; its value is a status (Bash's kernel), a message, or empty."""
    first = _first_line(value)
    if first and not first.isdecimal():
        return f": {first}"
    status = f" with status {first}" if first else ""
    return f"{status}: {without_ansi(complaint)}" if complaint else status or ", and its kernel does not say why"


def _first_line(text: str) -> str:
    return next(iter(without_ansi(text).strip().splitlines()), "")[:LONGEST_REASON]


def verdict_of(error: NbstepError, index: int | None = None, cell: dict[str, Any] | None = None) -> Verdict:
    """The verdict that an error stands for, naming its cell."""
    stopped = isinstance(error, InterruptedRunError | TerminatedError)
    state = RunState.CANCELLED if stopped else RunState.FAILED
    return Verdict(info_of(error, index, cell), error.exit_code, state)


def info_of(error: NbstepError, index: int | None, cell: dict[str, Any] | None) -> ErrorInfo:
    """An error as data, naming its cell."""
    return replace(ErrorInfo.of(error), cell_index=index, cell_id=cell.get("id") if cell else None)


def gpu_hint(error: str) -> str:
    """What to do about an error where it is a GPU that was too small or missing; empty for any other."""
    return (
        _GPU_TOO_SMALL_HINT if _GPU_TOO_SMALL.search(error) else _GPU_MISSING_HINT if _GPU_MISSING.search(error) else ""
    )
