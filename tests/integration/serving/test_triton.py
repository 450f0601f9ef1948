"""The Open Inference Protocol as a client of others speaks it: tritonclient, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.endpoints import EndpointRun
from support.needs import missing

CLIENT = "tritonclient[http]==2.73.0"
SUMS = """
from typing import Annotated, TypedDict
import numpy as np
from nbstep_runner import Array, serve

class Answer(TypedDict):
    sums: list[float]
    words: list[str]

@serve
def predict(x: Annotated[np.ndarray, Array("float32", (-1, 2))], words: list[str], half: bool = False) -> Answer:
    return {"sums": (x.sum(axis=1) / (2 if half else 1)).tolist(), "words": [each.upper() for each in words]}
"""
ASKS = """
import json, sys
import numpy as np
import tritonclient.http as http

client = http.InferenceServerClient(sys.argv[1])
found = {"live": client.is_server_live(), "ready": client.is_server_ready(), "model": client.is_model_ready("sums")}
found["server"] = client.get_server_metadata()["extensions"]
found["metadata"] = client.get_model_metadata("sums", "1")
for binary in (True, False):
    x, words = http.InferInput("x", [2, 2], "FP32"), http.InferInput("words", [2], "BYTES")
    half = http.InferInput("half", [1], "BOOL")
    x.set_data_from_numpy(np.array([[1, 2], [3, 4]], np.float32), binary_data=binary)
    words.set_data_from_numpy(np.array(["a", "ü"], dtype=object), binary_data=binary)
    half.set_data_from_numpy(np.array([True]), binary_data=binary)
    outputs = [http.InferRequestedOutput(name, binary_data=binary) for name in ("words", "sums")]
    answer = client.infer("sums", [x, words, half], outputs=outputs, request_id="7")
    texts = [each.decode() if isinstance(each, bytes) else each for each in answer.as_numpy("words")]
    found[f"binary {binary}"] = [answer.get_response()["id"], answer.as_numpy("sums").tolist(), texts]
try:
    client.infer("sums", [x])
except http.InferenceServerException as error:
    found["error"] = [error.status(), error.message()]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has it."""
    folder = tmp_path_factory.mktemp("triton")
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    python = folder / "bin/python"
    install = [uv, "pip", "install", "--quiet", "--system-certs", "--python", str(python), CLIENT]
    if subprocess.run(install, check=False, timeout=110).returncode != 0:
        missing("tritonclient", f"{CLIENT} cannot be installed")
    return python


def test_tritonclient_asks_in_json_and_in_binary(tmp_path: Path, client: Path) -> None:
    with EndpointRun(tmp_path, [SUMS], name="sums") as run:
        run.ready().close()
        asked = [str(client), "-c", ASKS, run.url.removeprefix("http://")]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["live"], found["ready"], found["model"]) == (True, True, True)
    assert found["server"] == ["binary_tensor_data"]
    assert [(each["name"], each["datatype"], each["shape"]) for each in found["metadata"]["inputs"]] == [
        ("x", "FP32", [-1, 2]),
        ("words", "BYTES", [-1]),
        ("half", "BOOL", [1]),
    ]
    assert [each["name"] for each in found["metadata"]["outputs"]] == ["sums", "words"]
    for binary in (True, False):
        assert found[f"binary {binary}"] == ["7", [1.5, 3.5], ["A", "Ü"]]
    assert found["error"] == ["422", "the input 'words' is missing"]
