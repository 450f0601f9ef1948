"""Reading handwritten digits: one step learns, another judges with digits that the first set aside.

Where the steps run is data: see ``common.py``.
"""

from common import IMAGE, NOTEBOOKS, PROFILE
from kfp import dsl

from nbstep.steps.kfp import local_runs, notebook_step, place

train = notebook_step(
    NOTEBOOKS / "digits/train.ipynb",
    image=PROFILE.image or IMAGE,
    runs=PROFILE.runs,
    results={"steps": int, "loss": float},
    artifacts={"model": "Model", "held_out": "Dataset"},
)
evaluate = notebook_step(
    NOTEBOOKS / "digits/evaluate.ipynb",
    image=PROFILE.image or IMAGE,
    runs=PROFILE.runs,
    results={"accuracy": float, "digits": int},
)


@dsl.pipeline(name="digits", description="Learns to read digits, and is judged.")
def pipeline(
    train_steps: int = 2_000, learning_rate: float = 0.01, batch_size: int = 100, develop_mode: bool = True
) -> float:
    """The share of held-out digits that the model reads."""
    trained = train(
        train_steps=train_steps, learning_rate=learning_rate, batch_size=batch_size, DEVELOP_MODE=develop_mode
    )
    judged = evaluate(model=trained.outputs["model"], held_out=trained.outputs["held_out"])
    for task in (trained, judged):
        place(task, PROFILE)
    return judged.outputs["accuracy"]


if __name__ == "__main__":
    with local_runs():
        pipeline()
