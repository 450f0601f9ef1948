"""From digits to a page where one draws them: train, judge, serve, ask.

The endpoint goes on answering after the pipeline, with a page to draw on: ``nbstep delete digits`` ends it.
"""

from common import IMAGE, NOTEBOOKS, PROFILE, SERVING_IMAGE
from digits import evaluate, train
from kfp import dsl

from nbstep.steps.kfp import endpoint_step, local_runs, notebook_step, place

serve = endpoint_step(
    NOTEBOOKS / "digits/predict.ipynb", name="digits", image=SERVING_IMAGE, inputs={"model": "Model"}, profile=PROFILE
)
ask = notebook_step(NOTEBOOKS / "endpoints/ask.ipynb", image=IMAGE, results={"answer": dict})
BAR = [[255 if 14 <= column < 18 and 4 <= row < 28 else 0 for column in range(32)] for row in range(32)]
"""A one, as the page's pad would send it."""
ASKED = {"image": BAR}


@dsl.pipeline(name="digits-endpoint", description="Reads the digits that people draw.")
def pipeline(train_steps: int = 2_000, develop_mode: bool = True) -> dict:  # type: ignore[type-arg]  # as kfp reads it
    """What the endpoint reads in a drawing of a one; a model that judges badly is not served."""
    trained = train(train_steps=train_steps, DEVELOP_MODE=develop_mode)
    judged = evaluate(model=trained.outputs["model"], held_out=trained.outputs["held_out"])
    served = serve(model=trained.outputs["model"]).after(judged)
    answer = ask(url=served.outputs["url"], inputs=ASKED)
    for task in (trained, judged, served, answer):
        place(task, PROFILE)
    return answer.outputs["answer"]


if __name__ == "__main__":
    with local_runs():
        pipeline()
