"""From houses to a price that one can ask for: prepare, train, serve, ask.

The endpoint goes on answering after the pipeline: ``nbstep delete house-prices`` ends it.
"""

from common import IMAGE, NOTEBOOKS, PROFILE, SERVING_IMAGE
from housing import prepare, train
from kfp import dsl

from nbstep.steps.kfp import endpoint_step, local_runs, notebook_step

serve = endpoint_step(
    NOTEBOOKS / "housing/predict.ipynb",
    name="house-prices",
    image=SERVING_IMAGE,
    inputs={"model": "Model"},
    profile=PROFILE,
)
ask = notebook_step(NOTEBOOKS / "endpoints/ask.ipynb", image=IMAGE, results={"answer": list})
HOUSE = {"area_m2": 120, "rooms": 4, "age_years": 30, "quality": 3, "garden_m2": 200, "distance_km": 5}
ASKED = {"houses": [HOUSE]}


@dsl.pipeline(name="housing-endpoint", description="Estimates the prices of houses for whoever asks.")
def pipeline(houses: int = 6_000, develop_mode: bool = True) -> list:  # type: ignore[type-arg]  # as kfp reads it
    """What the house is worth, as the endpoint says."""
    prepared = prepare(houses=houses, DEVELOP_MODE=develop_mode)
    trained = train(
        training=prepared.outputs["training"], testing=prepared.outputs["testing"], DEVELOP_MODE=develop_mode
    )
    served = serve(model=trained.outputs["model"])
    return ask(url=served.outputs["url"], inputs=ASKED).outputs["answer"]


if __name__ == "__main__":
    with local_runs():
        pipeline()
