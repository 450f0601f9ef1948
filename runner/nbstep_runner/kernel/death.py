"""Why a kernel died: for memory, by a signal, or by itself."""

from __future__ import annotations

import signal

from nbstep_runner.errors import KernelDiedError, NbstepError, OutOfMemoryError
from nbstep_runner.kernel.memory import MemoryWatch
from nbstep_runner.kernel.process import KernelProcess


def explain(process: KernelProcess, memory: MemoryWatch) -> NbstepError:
    """The error for a kernel that ended while it was needed.

    Only the cgroup's own counter proves that the kernel was killed for memory; a SIGKILL alone may have any cause.
    """
    status = process.exit_status
    if status == -signal.SIGKILL and (memory.oom_kills() or 0) > 0:
        return OutOfMemoryError(f"the kernel was killed for memory{_figures(memory)}")
    if status is not None and status < 0:
        return KernelDiedError(f"the kernel was ended by {signal_name(-status)}")
    return KernelDiedError(f"the kernel ended by itself with exit code {status}")


def _figures(memory: MemoryWatch) -> str:
    figures = {"peak": memory.peak_bytes(), "limit": memory.limit_bytes()}
    known = [f"{name} {size / 2**20:,.0f} MiB" for name, size in figures.items() if size is not None]
    return f" ({', '.join(known)})" if known else ""


def signal_name(number: int) -> str:
    """What a signal is called, such as ``SIGKILL``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
