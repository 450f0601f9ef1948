"""Every way in which nbstep can fail, in one table: exit code, reference, whether a retry can help.

An error carries a sentence that says what is wrong (``message``) and one that says what to do (``hint``). The exit
codes avoid 64, 137 and 138, which already mean something else to Argo, to the kernel and to papermill.

This module imports nothing of ours, so that every room can raise from it.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import ClassVar, Final


class ExitCode(IntEnum):
    """The codes a run can end with; the command line's only vocabulary for its verdict."""

    SUCCEEDED = 0
    USAGE = 2
    CELL_FAILED = 10
    TIMED_OUT = 11
    KERNEL_DIED = 12
    OUT_OF_MEMORY = 13
    BAD_INPUT = 65
    INPUT_NOT_FOUND = 66
    INTERNAL = 70
    OUTPUT_CONFLICT = 73
    STORAGE_UNAVAILABLE = 75
    STORAGE_DENIED = 77
    KERNEL_UNAVAILABLE = 78
    INTERRUPTED = 130
    TERMINATED = 143


class Retry(StrEnum):
    """Whether running the same work again can end differently."""

    NEVER = "never"
    ONCE = "once"
    ALWAYS = "always"


LOST_HINT: Final = "The partial notebook and the log, where there are any, lie beside the output. Submit again."
"""What to do about a run whose process vanished, whoever finds that out."""
_NOT_THE_CALLERS = ("nbstep", "nbstep_runner", "IPython")


class NbstepError(Exception):
    """The base of every error that nbstep raises on purpose.

    Args:
        message: One sentence that says what is wrong, without secrets.
        hint: One sentence that says what to do; the class's own hint when empty.
        context: What was being done when it went wrong, such as ``publishing gs://bucket/out.ipynb``.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL
    reference: ClassVar[str] = "internal"
    retry: ClassVar[Retry] = Retry.ONCE
    default_hint: ClassVar[str] = "This is a fault of nbstep: please report it with the log."

    def __init__(self, message: str, *, hint: str = "", context: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint
        self.context = context

    def __str__(self) -> str:
        """What is wrong and what to do."""
        return f"{self.message}\n{self.hint}"

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the caller's own lines, then the sentences; no frame of ours."""
        import traceback

        own = (
            each
            for each in traceback.walk_tb(self.__traceback__)
            if str(each[0].f_globals.get("__name__")).partition(".")[0] not in _NOT_THE_CALLERS
        )
        lines = "".join(traceback.StackSummary.extract(own).format()).splitlines()
        notes = [line for note in getattr(self, "__notes__", ()) for line in note.splitlines()]
        return [*lines, *notes, f"{type(self).__name__}: {self.message}", self.hint]


class InternalError(NbstepError):
    """A fault of ours, and the verdict until another is proven."""


class UsageError(NbstepError):
    """The command line is wrong."""

    exit_code = ExitCode.USAGE
    reference = "usage"
    retry = Retry.NEVER
    default_hint = "Run the command with --help to see what it takes."


class CellFailedError(NbstepError):
    """A cell raised."""

    exit_code = ExitCode.CELL_FAILED
    reference = "cell-failed"
    retry = Retry.NEVER
    default_hint = "Open the executed notebook: the failing cell holds the full traceback."


class TimedOutError(NbstepError):
    """A cell's, the run's or the no-output deadline passed."""

    exit_code = ExitCode.TIMED_OUT
    reference = "timed-out"
    retry = Retry.NEVER
    default_hint = "Raise the deadline that passed, or give the notebook less to do."


class KernelDiedError(NbstepError):
    """The kernel process ended while it was needed: a signal, or a cause unknown."""

    exit_code = ExitCode.KERNEL_DIED
    reference = "kernel-died"
    retry = Retry.ONCE
    default_hint = "Look at the last lines of the log; native libraries that crash are the usual cause."


class OutOfMemoryError(NbstepError):
    """The kernel was killed for memory, shown by the cgroup's own counter."""

    exit_code = ExitCode.OUT_OF_MEMORY
    reference = "out-of-memory"
    retry = Retry.NEVER
    default_hint = "Raise the memory limit, or load less data at once."


class BadInputError(NbstepError):
    """The notebook or its parameters are not valid."""

    exit_code = ExitCode.BAD_INPUT
    reference = "bad-input"
    retry = Retry.NEVER
    default_hint = "Correct the notebook or the parameters and run again."


class InputNotFoundError(NbstepError):
    """The notebook or a parameters file does not exist."""

    exit_code = ExitCode.INPUT_NOT_FOUND
    reference = "input-not-found"
    retry = Retry.NEVER
    default_hint = "Check the spelling of the path, and that the upload has finished."


class OutputConflictError(NbstepError):
    """Another run owns the output, or replaced it meanwhile."""

    exit_code = ExitCode.OUTPUT_CONFLICT
    reference = "output-conflict"
    retry = Retry.NEVER
    default_hint = "Wait for the other run to end, or choose another output."


class StorageUnavailableError(NbstepError):
    """Storage or the network failed past the retry budget."""

    exit_code = ExitCode.STORAGE_UNAVAILABLE
    reference = "storage-unavailable"
    retry = Retry.ALWAYS
    default_hint = "Run again when the storage answers; nothing that was published has been damaged."


def no_temporary_folder(error: OSError) -> StorageUnavailableError:
    """Say that there is no place to work in."""
    return StorageUnavailableError(
        f"no temporary folder can be written: {error.strerror or error}",
        hint="Free space there, or set TMPDIR to a folder that can be written.",
    )


class StorageDeniedError(NbstepError):
    """Credentials or permissions do not allow the access."""

    exit_code = ExitCode.STORAGE_DENIED
    reference = "storage-denied"
    retry = Retry.NEVER
    default_hint = "Check the credentials that the run was given and what they may read and write."


class KernelUnavailableError(NbstepError):
    """There is no such kernel, or it never became ready."""

    exit_code = ExitCode.KERNEL_UNAVAILABLE
    reference = "kernel-unavailable"
    retry = Retry.NEVER
    default_hint = "Install the kernel where the run takes place, or name another with --kernel."


class InterruptedRunError(NbstepError):
    """SIGINT ended the run, after saving."""

    exit_code = ExitCode.INTERRUPTED
    reference = "interrupted"
    retry = Retry.NEVER
    default_hint = "What had been executed is in the output notebook."


class TerminatedError(NbstepError):
    """SIGTERM ended the run, after saving."""

    exit_code = ExitCode.TERMINATED
    reference = "terminated"
    retry = Retry.ALWAYS
    default_hint = "What had been executed is in the output notebook; run again to do the whole work."


BY_CODE: Final[dict[int, type[NbstepError]]] = {int(kind.exit_code): kind for kind in NbstepError.__subclasses__()}
"""Every kind by its exit code; what a launcher adds to them later never ends a run's process."""
