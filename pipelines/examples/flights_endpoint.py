"""From flights to the odds of one that is about to take off: train, serve, ask.

The endpoint goes on answering after the pipeline: ``nbstep delete flight-odds`` ends it.
"""

from common import IMAGE, NOTEBOOKS, PROFILE, SERVING_IMAGE
from flights import flights
from kfp import dsl

from nbstep.steps.kfp import endpoint_step, local_runs, notebook_step

serve = endpoint_step(
    NOTEBOOKS / "flights/predict.ipynb",
    name="flight-odds",
    image=SERVING_IMAGE,
    inputs={"model": "Model"},
    profile=PROFILE,
)
ask = notebook_step(NOTEBOOKS / "endpoints/ask.ipynb", image=IMAGE, results={"answer": list})
EARLY = {
    "carrier": "A1",
    "origin": "LAX",
    "dest": "BNA",
    "dep_hour": 5,
    "distance": 1794,
    "dep_delay": -8,
    "taxi_out": 18,
}
ASKED = {"flights": [EARLY, EARLY | {"dep_delay": 60}]}


@dsl.pipeline(name="flights-endpoint", description="Tells the odds of a flight's being on time to whoever asks.")
def pipeline(bucket: str, develop_mode: bool = True) -> list:  # type: ignore[type-arg]  # as kfp reads it
    """The odds of a flight that left early and of one that left an hour late, as the endpoint says."""
    trained = flights(BUCKET=bucket, DEVELOP_MODE=develop_mode)
    served = serve(model=trained.outputs["model"])
    return ask(url=served.outputs["url"], inputs=ASKED).outputs["answer"]


if __name__ == "__main__":
    with local_runs():
        pipeline(bucket=str(NOTEBOOKS / "data"))
