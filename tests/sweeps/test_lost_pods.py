"""Runs that keep a state lose their pods, and go on from it; ``make sweeps`` runs them.

``docs/resume.md`` has the figures of the training that is killed ten times.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from nbstep import Run
from nbstep.views.log_lines import LogLine
from nbstep_runner.contract import RunResult, RunState
from servers.cluster import Launcher
from support.training import training_cell
from sweeps.pods import Taking, deleted, evicted, killed, lost, moment, running, suspended, until

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = 10
STEPS, SAVED_EVERY, PAUSE = 200, 5, 0.2
TRAINING = training_cell(STEPS, pause=PAUSE, saved_every=SAVED_EVERY)
TAKEN: tuple[Taking, ...] = (evicted, deleted, lost, killed, *6 * (suspended,))
"""After each of the first four Kubernetes waits twice as long as before, whether it counts as a failure or not."""


class Followed:
    """The lines of a run, as they come."""

    def __init__(self, run: Run) -> None:
        self.lines: list[LogLine] = []
        self._run = run
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        for line in self._run.lines(follow=True):
            self.lines.append(line)

    def of(self, word: str) -> list[LogLine]:
        """What the training said that begins with a word."""
        return [line for line in list(self.lines) if line.stream == "stdout" and line.message.startswith(word)]

    def end(self) -> None:
        """Wait for the last line."""
        self._thread.join(120)


def take_at_random(launcher: Launcher, run: Run, said: Followed, take: Taking, choice: random.Random) -> float:
    """Wait for a moment of a pod's start, or of its training, and take it away; the seconds until there is another."""
    begun = len(said.of("begins"))
    until(lambda: running(launcher, run.id), 400)
    pod = running(launcher, run.id)[0]
    if choice.random() < 0.7:
        until(lambda: len(said.of("begins")) > begun or run.status().state.final, 400)
    time.sleep(choice.uniform(0, 3))
    known = names(launcher, run)
    take(launcher, pod)
    until(lambda: pod not in running(launcher, run.id), 100)
    gone = time.monotonic()
    until(lambda: names(launcher, run) - known, 400)
    return time.monotonic() - gone


def names(launcher: Launcher, run: Run) -> set[str]:
    """Of all its pods, however they stand."""
    return {pod["metadata"]["name"] for pod in launcher.cluster.pods(run)}


@pytest.mark.fault(60)
def test_a_training_that_loses_its_pod_again_and_again_ends_with_the_same_model(
    launcher: Launcher, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten times: of the steps only those since the last save are made again."""
    once = launcher.submit("x = 1", TRAINING, state=True)
    undisturbed = once.wait(timeout=600)
    run = launcher.submit("x = 1", TRAINING, state=True, retries=KILLS)
    said, choice = Followed(run), random.Random(3)  # noqa: S311 - moments to kill at
    waits = [take_at_random(launcher, run, said, take, choice) for take in TAKEN]
    result = run.wait(timeout=1200)
    said.end()

    assert result.state is RunState.SUCCEEDED
    assert result.results == undisturbed.results
    assert result.continued_from is not None
    steps = [int(line.message.split()[1]) for line in said.of("step")]
    assert sorted(set(steps)) == list(range(1, STEPS + 1))
    again = len(steps) - STEPS
    assert again <= KILLS * (SAVED_EVERY + 1), f"{again} of {STEPS} steps were made again"
    with capsys.disabled():
        sys.stdout.write(told(launcher, once, run, said, again, waits))


def told(launcher: Launcher, once: Run, run: Run, said: Followed, again: int, waits: list[float]) -> str:
    """Where the time went."""
    begun: dict[int | None, float] = {}
    ended: dict[int | None, float] = {}
    for line in said.lines:
        if line.stream == "stdout":
            ended[line.attempt] = moment(line.time)
            begun.setdefault(line.attempt, ended[line.attempt])
    training = sum(ended[attempt] - begun[attempt] for attempt in begun)
    order = sorted(begun, key=lambda attempt: begun[attempt])
    gaps = [f"{begun[after] - ended[before]:.0f}" for before, after in pairwise(order)]
    waited = [f"{take.__name__} {wait:.0f}" for take, wait in zip(TAKEN, waits, strict=True)]
    return (
        f"\nundisturbed {seconds(launcher, once):.0f} s, with {KILLS} pods taken away {seconds(launcher, run):.0f} s, "
        f"of which training {training:.0f} s, {again} steps of {PAUSE} s made again\n"
        f"seconds from the end of a pod to the creation of the next: {', '.join(waited)}\n"
        f"seconds from the last step of a pod to the training of the next: {', '.join(gaps)}\n"
    )


def seconds(launcher: Launcher, run: Run) -> float:
    """From the Job's creation to its end."""
    job = launcher.cluster.get("job", run.id)
    return moment(job["status"]["completionTime"]) - moment(job["metadata"]["creationTimestamp"])


FIRST_WAITS = """
import time
from nbstep_runner import result, state
kept = state.folder / "first"
if not state.restored:
    kept.write_text("seen")
    print("waits", flush=True)
    time.sleep(300)
result("seen", kept.read_text())
"""
"""The first attempt waits to be taken away, and saves as it ends."""


def waits(run: Run) -> bool:
    return any(line.message == "waits" for line in run.lines())


def went_on(run: Run) -> RunResult:
    """The record of the second attempt, which went on from what the first one saved."""
    result = run.wait(timeout=300)
    assert (result.state, result.attempt, result.results) == (RunState.SUCCEEDED, 2, {"seen": "seen"})
    assert result.continued_from is not None
    assert result.continued_from.attempt == 1
    return result


@pytest.mark.fault(28)
@pytest.mark.fault(60)
def test_a_run_that_its_queue_takes_back_goes_on_from_its_state(launcher: Launcher, kueue: str) -> None:
    full: dict[str, Any] = {"resources": {"cpu": "100m", "memory": "400Mi"}}
    low, high = ({"queue": kueue, "queue_priority": priority} for priority in ("low", "high"))
    run = launcher.submit("x = 1", FIRST_WAITS, kubernetes=low, state=True, retries=0, **full)
    until(lambda: waits(run))
    urgent = launcher.submit("x = 2", kubernetes=high, **full)
    assert urgent.wait(timeout=300).state is RunState.SUCCEEDED
    went_on(run)


@pytest.mark.fault(60)
def test_on_a_store_without_conditional_writes_too(launcher: Launcher) -> None:
    options = launcher.options()
    options["storage"]["conditional_writes"] = False
    run = launcher.submit("x = 1", FIRST_WAITS, options=options, state=True, retries=0)
    until(lambda: waits(run))
    evicted(launcher, running(launcher, run.id)[0])
    assert any("no conditional writes" in warning for warning in went_on(run).warnings)
