"""Starting a kernel: as early as possible, ready as soon as it answers, a failure explained."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from nbstep_runner.errors import KernelDiedError, KernelUnavailableError, NbstepError
from nbstep_runner.kernel.death import signal_name
from nbstep_runner.kernel.kernel import Kernel

ASK_AGAIN_SECONDS: Final = 0.25
"""How soon a kernel that has answered is asked again, because what it published was not heard."""
UNANSWERED_SECONDS: Final = 1.0
"""How soon a silent kernel is asked again, at first; doubled each time, so that a slow start piles up few replies."""
LONGEST_CONTEXT: Final = 4000
"""Characters at the end of what a kernel that did not start has written to stderr."""
LONGEST_SAID: Final = 500
"""Characters at the end of its last line there."""


def await_ready(
    kernel: Kernel, seconds: float, attend: Callable[[], None], mask: Callable[[str], str] = str
) -> dict[str, Any]:
    """Wait until a kernel is ready and return its ``kernel_info_reply``.

    Ready means that it has answered on the shell channel and that a message has come on the iopub channel, which
    shows that the subscription is in place and no output can be missed. The question is asked again while only
    one of them has happened, because a publication made before the subscription is gone. A kernel that says nothing
    is asked again too: tslab fails to answer what it hears while its next socket is still being bound.

    Args:
        kernel: Just launched, or starting for a while.
        seconds: How long to wait.
        attend: Called when the run has to look up; what it raises ends the wait.
        mask: Hides secrets in what the kernel has written, before it is cut: half of one could not be found.

    Raises:
        KernelUnavailableError: It ended by itself, or was not ready within ``seconds``.
        KernelDiedError: A signal ended it, which another attempt may be spared.
    """
    deadline = time.monotonic() + seconds
    info: dict[str, Any] | None = None
    subscribed = False
    ask_at = 0.0
    patience = UNANSWERED_SECONDS
    while info is None or not subscribed:
        now = time.monotonic()
        if now >= deadline:
            raise _unavailable(kernel, f"was not ready within {seconds:g} s", mask)
        if now >= ask_at:
            kernel.request("kernel_info_request", {})
            ask_at = now + (ASK_AGAIN_SECONDS if info else patience)
            patience *= 2
        heard = kernel.wait(min(deadline, ask_at) - now)
        if heard.died:
            raise _died(kernel, mask)
        if heard.woken:
            attend()
        subscribed = subscribed or bool(heard.iopub)
        for message in heard.shell:
            if message.type == "kernel_info_reply":
                info, ask_at = message.content, now + ASK_AGAIN_SECONDS
    kernel.watch_native_output()
    return info


def _died(kernel: Kernel, mask: Callable[[str], str]) -> NbstepError:
    status = kernel.process.exit_status
    if status is not None and status < 0:
        return KernelDiedError(f"the kernel was ended by {signal_name(-status)} while it was starting")
    return _unavailable(kernel, "died while it was starting", mask)


def _unavailable(kernel: Kernel, what: str, mask: Callable[[str], str]) -> KernelUnavailableError:
    kernel.process.drain_stderr()
    tail = mask(kernel.process.stderr_tail)
    lines = tail.strip().splitlines()
    said = f": {lines[-1][-LONGEST_SAID:]}" if lines else ""
    error = KernelUnavailableError(f"the kernel {kernel.process.spec.name!r} {what}{said}")
    error.context = tail[-LONGEST_CONTEXT:]
    return error
