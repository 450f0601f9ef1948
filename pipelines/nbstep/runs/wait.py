"""Waiting for the end of runs, any number of them at the cost of one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

from nbstep.errors import WaitTimeoutError
from nbstep.runs.watch import Look, Watchable, watch_of
from nbstep.views.status import RunStatus
from nbstep_runner.contract import RunResult


class Awaitable(Watchable, Protocol):
    """A run that can be waited for."""

    @property
    def id(self) -> str:
        """The run's id."""

    def verdict(self, status: RunStatus, *, check: bool) -> RunResult:
        """The record of a final status; raises the run's own error if ``check``."""


AnyRun = TypeVar("AnyRun", bound=Watchable)


def wait_all(runs: Sequence[Awaitable], timeout: float | None = None, *, check: bool = True) -> list[RunResult]:
    """Wait for every run and return their records in order.

    Args:
        runs: Any number of them.
        timeout: Seconds to wait for all together; each is looked at once in any case.
        check: Raise the first failed run's own error, once all have ended.

    Raises:
        WaitTimeoutError: Some have not ended by then. They go on.
        NbstepError: How the first that failed did.
    """
    newest = until_ended(runs, timeout)
    if waiting := [run for run in runs if not newest[run].state.final]:
        which = f"the run {runs[0].id} has" if len(runs) == 1 else f"{len(waiting)} of {len(runs)} runs have"
        raise WaitTimeoutError(f"{which} not ended after {timeout:g} s: {newest[waiting[0]].words}")
    return [run.verdict(newest[run], check=check) for run in runs]


def until_ended(runs: Sequence[AnyRun], timeout: float | None) -> dict[AnyRun, RunStatus]:
    """The newest status of each run: final, unless the time was over before."""
    deadline = None if timeout is None else time.monotonic() + timeout
    looks: SimpleQueue[tuple[AnyRun, Look]] = SimpleQueue()
    newest: dict[AnyRun, RunStatus] = {}
    waiting = set(runs)
    with ExitStack() as listening:
        for backend in {run.backend for run in waiting}:
            group = [run for run in waiting if run.backend is backend]
            listening.enter_context(watch_of(backend).listening(group, lambda *look: looks.put(look)))
        while waiting:
            all_seen = waiting <= newest.keys()
            left = None if deadline is None or not all_seen else max(0.0, deadline - time.monotonic())
            try:
                run, look = looks.get(timeout=left)
            except Empty:
                break
            if isinstance(look, Exception):
                raise look
            newest[run] = look
            if look.state.final:
                waiting.discard(run)
    return newest


async def wait_async(run: Awaitable, *, check: bool) -> RunResult:
    """Wait for one run without blocking the event loop."""
    import asyncio  # whoever awaits this has it; the others need not wait for it

    loop = asyncio.get_running_loop()
    looks: asyncio.Queue[Look] = asyncio.Queue()

    def tell(_run: Awaitable, look: Look) -> None:
        loop.call_soon_threadsafe(looks.put_nowait, look)

    with watch_of(run.backend).listening([run], tell):
        while True:
            look = await looks.get()
            if isinstance(look, Exception):
                raise look
            if look.state.final:
                return run.verdict(look, check=check)
