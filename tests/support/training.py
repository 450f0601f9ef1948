"""A training that keeps its state, for runs that lose their pods."""

from __future__ import annotations


def training_cell(steps: int, *, pause: float, saved_every: int) -> str:
    """A cell that says where it begins and each step, waits before a step, and saves its state after some of them."""
    return f"""
import json, random, time
from nbstep_runner import result, state
kept = state.folder / "training.json"
random.seed(5)
step, weight = 0, 0.0
if state.restored:
    found = json.loads(kept.read_text())
    step, weight = found["step"], found["weight"]
    version, internal, gauss = found["random"]
    random.setstate((version, tuple(internal), gauss))
print("begins at", step, flush=True)
while step < {steps}:
    step += 1
    weight += random.random()
    time.sleep({pause})
    new = state.folder / "new.json"
    new.write_text(json.dumps({{"step": step, "weight": weight, "random": random.getstate()}}))
    new.replace(kept)
    print("step", step, flush=True)
    if step % {saved_every} == 0:
        state.save()
result("model", weight)
"""
