"""What is this house worth? Houses are drawn, XGBoost learns from them until it no longer helps, unseen ones judge."""

from common import IMAGE, NOTEBOOKS
from kfp import dsl

from nbstep.steps.kfp import local_runs, notebook_step

prepare = notebook_step(
    NOTEBOOKS / "housing/prepare.ipynb",
    image=IMAGE,
    results={"training_houses": int, "testing_houses": int},
    artifacts={"training": "Dataset", "testing": "Dataset"},
)
train = notebook_step(
    NOTEBOOKS / "housing/train.ipynb",
    image=IMAGE,
    results={"mean_absolute_error": float, "naive_error": float, "trees": int},
    artifacts={"model": "Model"},
)


@dsl.pipeline(name="housing", description="Estimates the price of a house.")
def pipeline(houses: int = 6_000, learning_rate: float = 0.05, develop_mode: bool = True) -> float:
    """The mean absolute error on houses that the model has never seen."""
    prepared = prepare(houses=houses, DEVELOP_MODE=develop_mode)
    trained = train(
        training=prepared.outputs["training"],
        testing=prepared.outputs["testing"],
        learning_rate=learning_rate,
        DEVELOP_MODE=develop_mode,
    )
    trained.set_memory_limit("2G").set_cpu_limit("2")
    return trained.outputs["mean_absolute_error"]


if __name__ == "__main__":
    with local_runs():
        pipeline()
