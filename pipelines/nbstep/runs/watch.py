"""Waiting for many runs at the cost of one: all that are waited for are looked at together."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from nbstep.backends.protocol import Backend
from nbstep.errors import WaitTimeoutError
from nbstep.runs.verdict import RunStatus

if TYPE_CHECKING:
    from nbstep.runs.run import Run
    from nbstep_runner.contract import RunResult

LOOK_SECONDS: Final = 1.0


def statuses(runs: Iterable[Run]) -> dict[Run, RunStatus]:
    """How each run stands: one question for each place, whatever the number of runs there.

    The records of those that have ended are read as well.
    """
    by_backend: dict[Backend, list[Run]] = defaultdict(list)
    for run in runs:
        by_backend[run.backend].append(run)
    found: dict[Run, RunStatus] = {}
    for backend, group in by_backend.items():
        told = backend.statuses([run.handle for run in group])
        found |= {run: run.glance(told[run.handle]) for run in group}
    return found


def wait_all(runs: Sequence[Run], timeout: float | None = None, *, check: bool = True) -> list[RunResult]:
    """Wait for every run and return their records in order.

    Args:
        runs: Any number of them.
        timeout: Seconds to wait for all together.
        check: Raise the first failed run's own error, once all have ended.

    Raises:
        WaitTimeoutError: Some have not ended by then. They go on.
        NbstepError: How the first that failed did.
    """
    begin = time.monotonic()
    ended: dict[Run, RunStatus] = {}
    while waiting := set(runs) - ended.keys():
        ended |= {run: status for run, status in statuses(waiting).items() if status.state.final}
        waiting -= ended.keys()
        if not waiting:
            break
        if timeout is not None and time.monotonic() - begin >= timeout:
            raise WaitTimeoutError(f"{len(waiting)} of {len(runs)} runs have not ended after {timeout:g} s")
        time.sleep(LOOK_SECONDS)
    return [run.verdict(ended[run], check=check) for run in runs]


class _Looker:
    """Answers every question of one event loop for how a run stands, many at a time."""

    def __init__(self) -> None:
        self._asked: dict[Run, list[asyncio.Future[RunStatus]]] = defaultdict(list)
        self._task: asyncio.Task[None] | None = None

    async def ask(self, run: Run) -> RunStatus:
        """How a run stands at the next look."""
        answer: asyncio.Future[RunStatus] = asyncio.get_running_loop().create_future()
        self._asked[run].append(answer)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        return await answer

    async def _look(self) -> None:
        while self._asked:
            await asyncio.sleep(LOOK_SECONDS)
            asked, self._asked = self._asked, defaultdict(list)
            try:
                found = await asyncio.to_thread(statuses, list(asked))
            except Exception as error:  # noqa: BLE001 - whoever asked has to learn of it, whatever it is
                for answer in _open(asked):
                    answer.set_exception(error)
                continue
            for run, answers in asked.items():
                for answer in _open({run: answers}):
                    answer.set_result(found[run])


def _open(asked: dict[Run, list[asyncio.Future[RunStatus]]]) -> list[asyncio.Future[RunStatus]]:
    return [answer for answers in asked.values() for answer in answers if not answer.done()]


_LOOKERS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Looker] = WeakKeyDictionary()


async def wait_async(run: Run, *, check: bool) -> RunResult:
    """Wait for one run of any number; see ``Run.wait_async``."""
    looker = _LOOKERS.setdefault(asyncio.get_running_loop(), _Looker())
    while not (status := await looker.ask(run)).state.final:
        pass
    return run.verdict(status, check=check)
