"""Waiting: for one run or many, blocking or not; however many wait, a place is asked once for all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

import pytest

import nbstep
from nbstep import Run
from nbstep.backends.memory import MemoryBackend
from nbstep.backends.protocol import Status
from nbstep.errors import ClusterUnavailableError, WaitTimeoutError
from nbstep.runs.watch import Look, watch_of
from nbstep.views.status import RunStatus
from nbstep_runner.contract import RunState
from nbstep_runner.errors import CellFailedError
from support.memory_runs import backend_of, submit

SECONDS = 60.0


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Asked(MemoryBackend):
    """Notes what it is asked, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[Sequence[str]] = []
        self.down = False

    def statuses(self, handles: Sequence[str]) -> dict[str, Status]:
        self.questions.append(handles)
        if self.down:
            raise ClusterUnavailableError("no answer")
        return super().statuses(handles)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    backend = Asked()
    monkeypatch.setattr("nbstep.api.backend_named", lambda _: backend)
    return backend


def test_all_are_waited_for_and_come_back_in_order() -> None:
    runs = [submit() for _ in range(3)]
    for number, run in reversed(list(enumerate(runs))):
        threading.Timer(0.05, backend_of(run).end, (run.handle,), {"results": {"n": number}}).start()
    assert [record.results["n"] for record in nbstep.wait_all(runs, SECONDS)] == [0, 1, 2]
    assert nbstep.wait_all([]) == []


def test_the_first_failure_in_order_is_raised_once_all_have_ended() -> None:
    good, bad, worse = (submit() for _ in range(3))
    backend_of(bad).end(bad.handle, error=CellFailedError("bad"))
    backend_of(worse).end(worse.handle, error=CellFailedError("worse"))
    with pytest.raises(WaitTimeoutError, match="1 of 3 runs have not ended after 0 s: nothing has begun the run"):
        nbstep.wait_all([good, bad, worse], timeout=0)
    backend_of(good).end(good.handle)
    with pytest.raises(CellFailedError, match="bad"):
        nbstep.wait_all([good, worse, bad][::-1], SECONDS)
    assert [record.exit_code for record in nbstep.wait_all([good, bad], check=False)] == [0, 10]


def test_a_wait_without_time_looks_once() -> None:
    run = submit()
    with pytest.raises(WaitTimeoutError, match=f"the run {run.id} has not ended after 0 s"):
        run.wait(timeout=0)
    backend_of(run).end(run.handle)
    assert run.wait(timeout=0).state is RunState.SUCCEEDED


def test_many_are_looked_at_with_one_question(asked: Asked) -> None:
    runs = [submit() for _ in range(50)]
    with pytest.raises(WaitTimeoutError, match="50 of 50"):
        nbstep.wait_all(runs, timeout=0)
    assert [sorted(handles) for handles in asked.questions] == [sorted(run.handle for run in runs)]


def test_a_place_that_does_not_answer_is_told_to_whoever_waits(asked: Asked) -> None:
    run = submit()
    asked.down = True
    with pytest.raises(ClusterUnavailableError):
        run.wait(SECONDS)
    with pytest.raises(ClusterUnavailableError):
        asyncio.run(run.wait_async())
    asked.down = False
    asked.end(run.handle)
    assert run.wait(SECONDS).state is RunState.SUCCEEDED


def test_any_number_of_tasks_wait_together() -> None:
    runs = [submit() for _ in range(5)]

    async def all_of_them() -> list[RunState]:
        waiting = [asyncio.create_task(run.wait_async()) for run in runs for _ in range(2)]
        await asyncio.sleep(0)
        for run in runs:
            backend_of(run).end(run.handle)
        async with asyncio.timeout(SECONDS):
            return [record.state for record in await asyncio.gather(*waiting)]

    assert asyncio.run(all_of_them()) == [RunState.SUCCEEDED] * 10


def test_a_task_that_gives_up_disturbs_nobody() -> None:
    run = submit()

    async def gives_up() -> None:
        async with asyncio.timeout(0.05):
            await run.wait_async()

    with pytest.raises(TimeoutError):
        asyncio.run(gives_up())
    backend_of(run).end(run.handle)
    assert run.wait(SECONDS).state is RunState.SUCCEEDED


def test_listeners_hear_the_same_looks_and_the_records_that_they_ask_for() -> None:
    run = submit()
    memory = backend_of(run)
    memory.begin(run.handle)
    looks: SimpleQueue[tuple[bool, Look]] = SimpleQueue()
    watch = watch_of(memory)
    watch.add([run], lambda _, look: looks.put((False, look)))
    watch.add([run], lambda _, look: looks.put((True, look)), read_record=True)

    def broken(_run: Run, _look: Look) -> None:
        raise RuntimeError("this listener is broken")

    watch.add([run], broken)
    memory.end(run.handle)
    final = [look for _ in range(2) if (look := _until_final(looks))]
    assert [status.state for status in final] == [RunState.SUCCEEDED] * 2


def _until_final(looks: SimpleQueue[tuple[bool, Look]]) -> RunStatus:
    while True:
        _, look = looks.get(timeout=SECONDS)
        assert isinstance(look, RunStatus)
        if look.state.final:
            return look
