"""The smallest pipeline that is one: a step makes the data ready, the next learns from it."""

from common import IMAGE, NOTEBOOKS
from kfp import dsl

from nbstep.steps.kfp import local_runs, notebook_step

process_data = notebook_step(
    NOTEBOOKS / "wine/process_data.ipynb",
    image=IMAGE,
    results={"learning_wines": int, "wines_aside": int, "measurements": list},
    artifacts={"data": "Dataset"},
)
train = notebook_step(
    NOTEBOOKS / "wine/train.ipynb", image=IMAGE, results={"accuracy": float, "steps": int}, artifacts={"model": "Model"}
)


@dsl.pipeline(name="process-train", description="Learns who grew a wine.")
def pipeline(test_share: float = 0.3, max_steps: int = 500, develop_mode: bool = True) -> float:
    """The second step needs the first one's data; ``.after`` would order them without."""
    processed = process_data(test_share=test_share, DEVELOP_MODE=develop_mode)
    trained = train(data=processed.outputs["data"], measurements=processed.outputs["measurements"], max_steps=max_steps)
    return trained.after(processed).outputs["accuracy"]


if __name__ == "__main__":
    with local_runs():
        pipeline()
