"""A training that is killed again and again ends with the model of an undisturbed one, and loses little each time."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from nbstep_runner.stores.atomicfile import is_temporary
from support import processes, runs
from support.notebooks import Code

pytestmark = pytest.mark.slow
KILLS = 10
STEPS = 60
SAVED_EVERY = 5
TRAINING = f"""
import hashlib, json, os, random, time
from nbstep_runner import result, state

kept = state.folder / "training.json"
if kept.exists():
    found = json.loads(kept.read_text())
    step, weights = found["step"], found["weights"]
    version, internal, gauss = found["random"]
    random.setstate((version, tuple(internal), gauss))
else:
    random.seed(7)
    step, weights = 0, [random.gauss(0, 1) for _ in range(50)]
while step < {STEPS}:
    sample = random.choices(range(50), k=20)
    for index in sample:
        weights[index] += 0.1 * (random.gauss(0, 1) - weights[index])
    step += 1
    with open(journal, "a") as lines:
        lines.write(f"{{step}}\\n")
    time.sleep(0.03)
    if step % {SAVED_EVERY} == 0:
        new = state.folder / "new.json"
        new.write_text(json.dumps({{"step": step, "weights": weights, "random": random.getstate()}}))
        new.replace(kept)
        state.save()
result("model", hashlib.sha256(json.dumps(weights).encode()).hexdigest())
"""
CELLS = [Code("journal: str = ''", tags=("parameters",)), TRAINING]
OPTIONS = ("--keep-state", "--run-id", "train", "--attempt", "next", "--autosave-cell-every", "0.3")


def steps(journal: Path) -> list[int]:
    """Every step that was made, by all attempts."""
    return [int(line) for line in journal.read_text().split()] if journal.exists() else []


def kill_at_random(running: runs.Running, journal: Path, choice: random.Random) -> None:
    """Wait for a moment, of the start or of the training, and end the run there."""
    if choice.random() < 0.3:
        time.sleep(choice.uniform(0, 1))
    else:
        wanted = len(steps(journal)) + choice.randrange(1, 8)
        processes.until(lambda: len(steps(journal)) >= wanted or running.ended, 120)
        time.sleep(choice.uniform(0, 0.1))
    running.signal(choice.choice((signal.SIGKILL, signal.SIGTERM)))


@pytest.mark.fault(60)
def test_killed_ten_times_at_random_it_ends_with_the_same_model(tmp_path: Path) -> None:
    undisturbed = runs.run(tmp_path, CELLS, "-p", "journal", str(tmp_path / "once"), output="once.ipynb", seconds=300)
    journal, choice = tmp_path / "journal", random.Random(1)  # noqa: S311 - moments to kill at
    parameters = ("-p", "journal", str(journal))
    for _ in range(KILLS):
        with runs.start(tmp_path, CELLS, *OPTIONS, *parameters) as running:
            kill_at_random(running, journal, choice)
            running.finish(300, check=False)
    last = runs.run(tmp_path, CELLS, *OPTIONS, *parameters, seconds=300)

    assert (undisturbed.code, last.code) == (0, 0)
    assert last.record["results"] == undisturbed.record["results"]
    assert last.record["continued_from"]["run_id"] == "train"
    assert sorted(set(steps(journal))) == list(range(1, STEPS + 1))
    lost = len(steps(journal)) - STEPS
    assert lost <= KILLS * (SAVED_EVERY + 1), f"{lost} of {STEPS} steps were made again"
    names = (path.name for path in (tmp_path / "out.state/generations").iterdir())
    left = sorted(name for name in names if not is_temporary(name))  # which a killed writer leaves, for an hour
    assert len(left) <= 2, left
