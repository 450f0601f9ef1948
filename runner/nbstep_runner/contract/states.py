"""How runs and cells stand, and why one failed: what records, events and launchers say alike."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from nbstep_runner.errors import NbstepError, Retry


class CellState(StrEnum):
    """How a cell stands. Only ``succeeded`` means that it ran to its end."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not_run"
    SKIPPED = "skipped"


class RunState(StrEnum):
    """How a run stands. ``lost`` is said by a launcher of a run whose process vanished without a record."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def final(self) -> bool:
        """Whether the state can no longer change."""
        return self not in (RunState.PENDING, RunState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """An error as data: for records, logs and launchers.

    Attributes:
        traceback: The kernel's own, line by line, without ANSI codes.
        attached: What else went wrong after it, such as a publication that failed as well.
    """

    reference: str
    message: str
    context: str = ""
    hint: str = ""
    retryable: bool = False
    cell_index: int | None = None
    cell_id: str | None = None
    exception_name: str | None = None
    exception_value: str | None = None
    traceback: tuple[str, ...] = ()
    attached: tuple[ErrorInfo, ...] = ()

    @classmethod
    def of(cls, error: NbstepError) -> ErrorInfo:
        """The data of an error that has no cell."""
        return cls(
            reference=error.reference,
            message=error.message,
            context=error.context,
            hint=error.hint,
            retryable=error.retry is not Retry.NEVER,
        )
