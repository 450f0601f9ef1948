"""Will this flight be on time? One notebook as a pipeline: parameters in, a model and its scores out."""

from common import IMAGE, NOTEBOOKS
from kfp import dsl

from nbstep.steps.kfp import Artifact, local_runs, notebook_step

flights = notebook_step(
    NOTEBOOKS / "flights.ipynb",
    image=IMAGE,
    results={"rmse": float, "accuracy": float, "auc": float, "flights": int},
    artifacts={"model": Artifact("Model", environment="MODEL_DIR")},
)


@dsl.pipeline(name="flights", description="Estimates whether a flight will be on time.")
def pipeline(bucket: str, project: str = "", develop_mode: bool = True) -> float:
    """``bucket`` is the folder that holds the data: ``gs://bucket/folder``, or a path that the step can see."""
    trained = flights(BUCKET=bucket, PROJECT=project, DEVELOP_MODE=develop_mode)
    trained.set_memory_limit("4G").set_cpu_limit("2")
    return trained.outputs["auc"]


if __name__ == "__main__":
    with local_runs():
        pipeline(bucket=str(NOTEBOOKS / "data"))
