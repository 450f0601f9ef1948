"""The recipes of docs/resume.md: each is stopped in the middle, and what was done is not done again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from support import runs

pytestmark = pytest.mark.slow
BEGIN = """
import os, time
from pathlib import Path
from nbstep_runner import result, state
made = []
def rest(count):
    print("made", count, flush=True)
    if count == 3 and not state.restored:
        state.save()
        print("resting", flush=True)
        time.sleep(120)
"""
FILES = """
import json
for number in range(6):
    done = state.folder / f"{number}.json"
    if not done.exists():
        scratch = done.with_suffix(".new")
        scratch.write_text(json.dumps(number ** 2))
        scratch.replace(done)
        made.append(number)
        rest(len(made))
result("made", len(made))
result("total", sum(json.loads(path.read_text()) for path in state.folder.glob("*.json")))
"""
JOBLIB = """
import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

data, target = load_iris(return_X_y=True)
memory = joblib.Memory(state.folder / "cache", verbose=0)

@memory.cache
def cross_validated(rate):
    made.append(rate)
    return float(cross_val_score(LogisticRegression(C=rate, max_iter=500), data, target).mean())

scores = []
for rate in (0.01, 0.1, 1.0, 3.0, 10.0, 30.0):
    scores.append(cross_validated(rate))
    rest(len(made))
result("made", len(made))
result("total", sum(scores))
"""
XGBOOST = """
import hashlib, numpy, xgboost
source = numpy.random.default_rng(3)
values = source.normal(size=(200, 4))
data = xgboost.DMatrix(values, label=values[:, 0] * 2 + values[:, 1])
settings = {"max_depth": 3, "seed": 1, "nthread": 1}
file = state.folder / "model.ubj"
booster = xgboost.Booster(model_file=file) if file.exists() else None
done = booster.num_boosted_rounds() if booster else 0
while done < 60:
    booster = xgboost.train(settings, data, num_boost_round=10, xgb_model=booster)
    done = booster.num_boosted_rounds()
    booster.save_model(state.folder / "new.ubj")
    (state.folder / "new.ubj").replace(file)
    made.append(done)
    rest(len(made))
result("made", len(made))
result("total", float(booster.predict(data).sum()))
"""
TORCH = """
import torch
torch.manual_seed(1)
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.Adam(model.parameters())
inputs = torch.arange(30.0).reshape(10, 3) / 30
file = state.folder / "checkpoint.pt"
start = 0
if file.exists():
    found = torch.load(file)
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    start = found["epoch"]
for epoch in range(start, 6):
    optimizer.zero_grad()
    (model(inputs) - 1).square().mean().backward()
    optimizer.step()
    kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch + 1}
    torch.save(kept, state.folder / "new.pt")
    (state.folder / "new.pt").replace(file)
    made.append(epoch)
    rest(len(made))
result("made", len(made))
result("total", float(model(inputs).sum()))
"""
RECIPES = {"files": FILES, "joblib": JOBLIB, "xgboost": XGBOOST, "torch": TORCH}
NEEDED = {"joblib": "sklearn", "xgboost": "xgboost", "torch": "torch"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stopped_run_goes_on_and_ends_as_an_undisturbed_one(tmp_path: Path, recipe: str) -> None:
    if recipe in NEEDED:
        pytest.importorskip(NEEDED[recipe], reason="the recipe is for those who have it")
    cells = [BEGIN, RECIPES[recipe]]
    whole = runs.run(
        tmp_path, [BEGIN.replace("count == 3", "count == 0"), RECIPES[recipe]], output="whole.ipynb", seconds=300
    )
    with runs.start(tmp_path, cells, "--keep-state") as running:
        running.wait_for("resting", 300).signal(signal.SIGKILL)
        running.finish(check=False)
    rest = runs.run(tmp_path, cells, "--keep-state", seconds=300)

    assert (whole.code, rest.code) == (0, 0)
    assert whole.record["results"]["made"] == 6
    assert rest.record["results"]["made"] == 3
    assert rest.record["results"]["total"] == pytest.approx(whole.record["results"]["total"])
