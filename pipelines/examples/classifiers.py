"""Two classifiers and a page of metadata, sent to a server by SFTP.

The server's host key and the private key are files of the Secret ``model-server``; no image and no manifest holds them.
"""

from common import IMAGE, NOTEBOOKS
from kfp import dsl

from nbstep.profiles import load_profile
from nbstep.steps.kfp import local_runs, notebook_step, place

KEYS = "/secrets/model-server"
SERVER_KEYS = load_profile(None, {"retries": 0, "kubernetes": {"secrets": {"model-server": {"path": KEYS}}}})

train = notebook_step(
    NOTEBOOKS / "classifiers/train.ipynb",
    image=IMAGE,
    results={"lda_accuracy": float, "nn_accuracy": float, "model_uris": list},
)


@dsl.pipeline(name="classifiers", description="Trains two classifiers and sends them where they are needed.")
def pipeline(
    model_uri: str = "sftp://trainer@models.example.com/models",
    known_hosts: str = f"{KEYS}/known_hosts",
    identity_file: str = f"{KEYS}/id_ed25519",
    develop_mode: bool = True,
) -> list:  # type: ignore[type-arg]  # the type as kfp reads it
    """Where the three files are."""
    trained = train(
        MODEL_URI=model_uri, KNOWN_HOSTS=known_hosts, IDENTITY_FILE=identity_file, DEVELOP_MODE=develop_mode
    )
    place(trained, SERVER_KEYS)
    return trained.outputs["model_uris"]


if __name__ == "__main__":
    with local_runs():
        pipeline(model_uri="local_outputs/models")
