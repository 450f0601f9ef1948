"""The endpoint's HTTP, asked in this process: the protocol's routes, problems, limits, page and counts."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest

from nbstep_runner.serving import Array
from nbstep_runner.serving.printed import Printed
from nbstep_runner.serving.signature import Signature
from support.served import Served

if TYPE_CHECKING:
    import httpx


def double(
    x: Annotated[np.ndarray, Array("float32", (-1,))], scale: float = 2.0
) -> Annotated[np.ndarray, Array("float32", (-1,))]:
    """Doubles, unless told otherwise."""
    if scale < 0:
        raise ValueError("no negative scale")
    return x * np.float32(scale)


@pytest.fixture
def served() -> Served:
    return Served(double, {"x": [1.0, 2.0]}, name="double")


def infer(served: Served, body: dict[str, Any] | bytes, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return served.post("/v2/models/double/infer", content=content, headers=headers)


X = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}


def test_plain_json(served: Served) -> None:
    response = served.post("/predict", json={"x": [1, 2.5]})
    assert (response.status_code, response.json()) == (200, [2.0, 5.0])
    assert response.headers["content-type"] == "application/json"


def test_the_protocols_metadata(served: Served) -> None:
    server = served.get("/v2").json()
    assert server["name"] == "nbstep"
    assert server["extensions"] == ["binary_tensor_data"]
    for path in ("/v2/models/double", "/v2/models/double/versions/1"):
        assert served.get(path).json() == {
            "name": "double",
            "versions": ["1"],
            "platform": "nbstep_python",
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [-1]},
                {"name": "scale", "datatype": "FP64", "shape": [1]},
            ],
            "outputs": [{"name": "output", "datatype": "FP32", "shape": [-1]}],
        }


def test_the_protocols_health(served: Served) -> None:
    for path, answer in [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/double/ready", {"name": "double", "ready": True}),
        ("/v2/models/double/versions/1/ready", {"name": "double", "ready": True}),
    ]:
        response = served.get(path)
        assert (response.status_code, response.json()) == (200, answer)


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/double/versions/2", "/v2/models/other/ready"])
def test_another_model_is_not_found(served: Served, path: str) -> None:
    response = served.get(path)
    assert response.status_code == 404
    assert "there is no" in response.json()["error"]
    assert served.post("/v2/models/other/infer", json={"inputs": [X]}).status_code == 404


def test_inference_in_json(served: Served) -> None:
    response = infer(
        served, {"id": "42", "inputs": [X, {"name": "scale", "shape": [1], "datatype": "FP64", "data": [3]}]}
    )
    assert response.json() == {
        "model_name": "double",
        "model_version": "1",
        "id": "42",
        "outputs": [{"name": "output", "shape": [2], "datatype": "FP32", "data": [3.0, 6.0]}],
    }


def test_inference_in_binary_both_ways(served: Served) -> None:
    data = np.array([1, 2], "<f4").tobytes()
    tensor = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    response = infer(served, head + data, **{"Inference-Header-Content-Length": str(len(head))})
    length = int(response.headers["inference-header-content-length"])
    (output,) = json.loads(response.content[:length])["outputs"]
    assert output == {"name": "output", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    assert np.frombuffer(response.content[length:], "<f4").tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("whole", "own", "binary"), [(False, None, False), (True, None, True), (True, False, False), (False, True, True)]
)
def test_an_outputs_own_wish_goes_before_the_requests(
    served: Served, whole: bool, own: bool | None, binary: bool
) -> None:
    output = {"name": "output"} | ({} if own is None else {"parameters": {"binary_data": own}})
    response = infer(served, {"inputs": [X], "outputs": [output], "parameters": {"binary_data_output": whole}})
    assert ("inference-header-content-length" in response.headers) is binary


@pytest.mark.fault(63)
@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/predict", b"{", "the body is not JSON"),
        ("/predict", b"\xff", "the body is not JSON"),
        ("/predict", b"[" * 100_000, "the body is not JSON"),
        ("/predict", b"[]", "expected a JSON object"),
        ("/predict", b"{}", "the input 'x' is missing"),
        ("/predict", b'{"x": [1], "scal": 1}', "did you mean 'scale'"),
        ("/predict", b'{"x": [[1]]}', "expected the shape [-1], not [1, 1]"),
        ("/v2/models/double/infer", b"{}", "missing required field `inputs`"),
        ("/v2/models/double/infer", b'{"inputs": []}', "the input 'x' is missing"),
        (
            "/v2/models/double/infer",
            json.dumps({"inputs": [X], "outputs": [{"name": "y"}]}).encode(),
            "there is no output 'y'",
        ),
    ],
)
def test_a_wrong_request_is_answered_with_what_is_wrong(served: Served, path: str, body: bytes, said: str) -> None:
    response = served.post(path, content=body)
    assert response.status_code == 422
    assert response.json()["reference"] == "bad-input"
    assert said in response.json()["error"]


@pytest.mark.fault(63)
def test_a_length_that_no_body_has_is_refused(served: Served) -> None:
    for length in ("-1", "x", "1" * 5000):
        response = infer(served, {"inputs": [X]}, **{"Inference-Header-Content-Length": length})
        assert (response.status_code, response.json()["reference"]) == (422, "bad-input")


def test_a_fault_of_ours_is_an_answer_too_counted_and_told(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Signature, "from_json", lambda _self, _body: 1 / 0)
    response = served.post("/predict", json={"x": [1]}, headers={"X-Request-Id": "mine"})
    told = {"error": "a fault of nbstep: ZeroDivisionError", "reference": "internal", "request": "mine"}
    assert (response.status_code, response.json()) == (500, told)
    assert "ZeroDivisionError: division by zero" in served.told.lines[0][0]
    assert 'code="500"} 1' in served.get("/metrics").text


def test_an_exception_is_an_answer_and_a_log_line(served: Served) -> None:
    response = served.post("/predict", json={"x": [1], "scale": -1}, headers={"X-Request-Id": "mine"})
    assert response.status_code == 500
    assert response.json() == {"error": "ValueError: no negative scale", "reference": "cell-failed", "request": "mine"}
    (text, fields), (line, also) = served.told.lines
    assert text.startswith("Traceback (most recent call last):")
    assert text.endswith("ValueError: no negative scale")
    assert "calls.py" not in text
    assert (fields["severity"], fields["request"]) == ("ERROR", "mine")
    assert re.fullmatch(r"POST /predict 500 in \d+\.\d ms", line)
    assert also["request"] == "mine"
    assert served.post("/predict", json={"x": [1]}).status_code == 200


@pytest.mark.parametrize("answer", [object(), {1j}, {"a": object()}])
def test_an_answer_that_json_cannot_say_is_told(answer: Any) -> None:
    served = Served(lambda: answer, name="m")
    bodies: dict[str, dict[str, Any]] = {"/predict": {}, "/v2/models/m/infer": {"inputs": []}}
    for path, body in bodies.items():
        response = served.post(path, json=body)
        assert response.status_code == 500
        assert "JSON cannot say" in response.json()["error"]


def test_ids_that_could_forge_a_log_are_not_taken(served: Served) -> None:
    response = served.post("/predict", json={"x": [1]}, headers={"X-Request-Id": "a b"})
    assert re.fullmatch(r"[\w-]+", response.headers["X-Request-Id"])


def test_a_body_past_the_limit_is_not_read() -> None:
    served = Served(double, name="double", body_bytes=100)
    assert served.post("/predict", content=b"x" * 101).status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 50
        raise AssertionError("read to the end")

    async def ask() -> httpx.Response:
        async with served.client() as client:
            return await client.post("/predict", content=pieces())

    assert asyncio.run(ask()).status_code == 413


def test_a_compressed_body_is_not_read(served: Served) -> None:
    response = served.post("/predict", content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert (response.status_code, response.json()["reference"]) == (415, "bad-input")


def test_a_body_that_does_not_come_is_given_up() -> None:
    served = Served(double, name="double", request_seconds=0.05)

    async def stalls() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    async def ask() -> httpx.Response:
        async with served.client() as client:
            return await client.post("/predict", content=stalls())

    assert asyncio.run(ask()).status_code == 408


def test_slow_calls_are_answered_and_a_stuck_endpoint_says_so() -> None:
    release, began = threading.Event(), threading.Event()

    def wait(slow: bool = True) -> str:
        if slow:
            began.set()
            release.wait(60)
        return "done"

    served = Served(wait, name="m", request_seconds=0.1, concurrency=1, waiting=1)

    async def ask() -> None:
        async with served.client() as client:
            response = await client.post("/predict", json={})
            assert (response.status_code, response.json()["reference"]) == (504, "timed-out")
            assert began.is_set()
            for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/m/ready"):
                assert (await client.get(path)).status_code == 503
            assert "nbstep_requests_overdue 1" in (await client.get("/metrics")).text
            waiting = await client.post("/predict", json={"slow": False})
            assert waiting.status_code == 504
            release.set()
            while served.calls.in_flight:  # noqa: ASYNC110 - the thread ends soon, and says so to nobody else
                await asyncio.sleep(0.01)
            assert (await client.get("/v2/health/live")).status_code == 200
            assert (await client.post("/predict", json={"slow": False})).json() == "done"

    asyncio.run(ask())


def test_what_an_overdue_call_printed_last_is_told_once_it_returns() -> None:
    release = threading.Event()

    def wait() -> None:
        release.wait(60)
        sys.stdout.write("late")

    served = Served(wait, name="m", request_seconds=0.1)

    async def ask() -> None:
        async with served.client() as client:
            assert (await client.post("/predict", json={}, headers={"X-Request-Id": "r"})).status_code == 504
            release.set()
            while served.calls.in_flight:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)

    asyncio.run(ask())
    assert ("late", {"request": "r", "stream": "stdout"}) in served.told.lines


def test_more_requests_than_may_wait_are_sent_away() -> None:
    release = threading.Event()
    served = Served(lambda: release.wait(60), name="m", concurrency=2, waiting=1)

    async def ask() -> None:
        async with served.client() as client:
            asked = [asyncio.create_task(client.post("/predict", json={})) for _ in range(4)]
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            (refused,) = [task.result() for task in done]
            assert (refused.status_code, refused.json()["reference"]) == (503, "busy")
            assert refused.headers["retry-after"] == "1"
            release.set()
            codes = sorted([(await task).status_code for task in asked])
            assert codes == [200, 200, 200, 503]

    asyncio.run(ask())


def test_coroutines_are_awaited() -> None:
    async def answer(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    assert Served(answer, name="m").post("/predict", json={"x": 1}).json() == 2


def test_while_it_drains_each_answer_ends_its_connection(served: Served) -> None:
    assert "connection" not in served.post("/predict", json={"x": [1]}).headers
    served.endpoint.draining = True
    response = served.post("/predict", json={"x": [1]})
    assert (response.status_code, response.headers["connection"]) == (200, "close")
    assert served.get("/v2/health/ready").status_code == 503
    assert served.get("/v2/health/live").status_code == 200


def test_metrics_count_by_route_and_code(served: Served) -> None:
    served.post("/predict", json={"x": [1]})
    served.post("/predict", json={})
    infer(served, {"inputs": [X]})
    response = served.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.text.splitlines()
    for line in (
        'nbstep_requests_total{route="predict",code="200"} 1',
        'nbstep_requests_total{route="predict",code="422"} 1',
        'nbstep_requests_total{route="infer",code="200"} 1',
        'nbstep_request_seconds_bucket{le="+Inf"} 3',
        "nbstep_request_seconds_count 3",
        "nbstep_requests_in_flight 0",
    ):
        assert line in lines


def test_the_description_says_inputs_answer_and_example(served: Served) -> None:
    described = served.get("/openapi.json").json()
    assert described["info"] == {"title": "double", "version": "1", "description": "Doubles, unless told otherwise."}
    post = described["paths"]["/predict"]["post"]
    content = post["requestBody"]["content"]["application/json"]
    assert content["example"] == {"x": [1.0, 2.0]}
    assert content["schema"]["required"] == ["x"]
    assert content["schema"]["properties"]["scale"] == {"title": "scale", "type": "number", "default": 2.0}
    assert content["schema"]["properties"]["x"]["items"] == {"type": "number"}
    assert post["responses"]["200"]["content"]["application/json"]["schema"]["type"] == "array"


def test_the_page_brings_all_it_needs(served: Served) -> None:
    page = served.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    names = set(re.findall(r'(?:src|href)="([^"]+)"', page.text)) - {"data:,"}
    assert {"try.js", "try.css"} < names
    for name in names:
        assert ":" not in name
        assert served.get(f"/{name}").status_code == 200


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("127.0.0.1:8000", 200), ("evil.example", 400)])
def test_on_loopback_only_loopbacks_names_are_answered(served: Served, host: str, status: int) -> None:
    assert served.get("/v2/health/live", headers={"Host": host}).status_code == status


def test_on_all_addresses_every_name_is_answered() -> None:
    served = Served(double, name="double", host="0.0.0.0")  # noqa: S104 - as in a container
    assert served.get("/v2/health/live", headers={"Host": "evil.example"}).status_code == 200


def test_wrong_paths_and_methods_are_json_too(served: Served) -> None:
    for response, status in [(served.get("/nowhere"), 404), (served.get("/predict"), 405)]:
        assert response.status_code == status
        assert response.json()["error"]


class Stream:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def writelines(self, lines: list[str]) -> None: ...


def test_prints_are_told_with_their_request() -> None:
    out, err = Stream(), Stream()
    handler = logging.StreamHandler(err)  # keeps the stream that it found, as a notebook's logging does

    def talk(name: str) -> None:
        print("hello", name, file=out)
        handler.emit(logging.makeLogRecord({"msg": "warned"}))
        print("open end", end="", file=out)

    served = Served(talk, name="m")
    printed = [Printed(name, stream, served.told.tell) for name, stream in (("stdout", out), ("stderr", err))]
    for each in printed:
        each.begin()
    del out.write  # as IPython does at a cell's end
    for each in printed:
        each.begin()
    served.post("/predict", json={"name": "a"}, headers={"X-Request-Id": "r1"})
    print("outside", file=out)
    for each in printed:
        each.end("r1")
    told = [
        (line, fields["stream"])
        for line, fields in served.told.lines
        if fields.get("request") == "r1" and "stream" in fields
    ]
    assert told == [("hello a", "stdout"), ("warned", "stderr"), ("open end", "stdout")]
    assert out.text == "outside\n"
