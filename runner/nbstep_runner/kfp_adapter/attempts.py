"""A step's own retries of failures that may pass: engines differ in theirs, and some cannot be told."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import click

from nbstep_runner.errors import BY_CODE, ExitCode, Retry
from nbstep_runner.supervisor import Supervisor

MAY_PASS: Final = {code for code, kind in BY_CODE.items() if kind.retry is not Retry.NEVER} - {int(ExitCode.TERMINATED)}
"""What the same work may not meet again. A stop (143) may pass too, but is not answered by going on."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0


def repeat(attempt: Callable[[], int], retries: int, *, within: float | None, grace: float) -> int:
    """Attempt until the code is final, at most ``retries`` times more; the last code.

    Between attempts it waits as stores do: exponentially longer, with full jitter.

    Args:
        attempt: Makes one, and returns its exit code.
        retries: How many may follow the first.
        within: Seconds from now after which no further attempt begins.
        grace: Seconds from a signal to the end of the process.

    Raises:
        InterruptedRunError, TerminatedError: A signal came between two attempts.
    """
    until = None if within is None else time.monotonic() + within
    for number in range(retries):
        code = attempt()
        wait = random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**number))  # noqa: S311 - jitter, not a secret
        if code not in MAY_PASS or (until is not None and time.monotonic() + wait > until):
            return code
        click.echo(f"nbstep-runner: attempt ended with {code}; the next begins in {wait:.1f} s", err=True)
        with Supervisor(grace) as supervisor:
            supervisor.call(partial(time.sleep, wait), doing="waiting for the next attempt")
    return attempt()
