"""The endpoint's HTTP: its routes, what every request goes through, and how a problem is told."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nbstep_runner.contract import ServingOptions
from nbstep_runner.serving.answers import encode_answer, tensors_of
from nbstep_runner.serving.calls import REQUEST, Calls, traceback_of
from nbstep_runner.serving.metrics import CONTENT_TYPE, Metrics
from nbstep_runner.serving.openapi import document
from nbstep_runner.serving.printed import Prints
from nbstep_runner.serving.problems import FaultError, InvalidError, Problem, RaisedError
from nbstep_runner.serving.signature import Signature
from nbstep_runner.serving.tensors import InferRequest, Tensor, read_request, write_response

PAGE: Final = Path(__file__).with_name("page")
VERSION: Final = "1"
"""The only version of the model: a changed model is another start of the endpoint."""
HEADER_LENGTH: Final = "inference-header-content-length"
MOST_DIGITS: Final = 20
"""Of a length in bytes."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
Tell = Callable[..., None]
Handler = Callable[[Request], Awaitable[Response]]


class Endpoint:
    """One served callable.

    Args:
        signature: What it takes and gives.
        calls: Calls it.
        options: Name and limits.
        tell: Tells the run's log a sentence, with fields.
        prints: Tells what requests print.
    """

    def __init__(self, signature: Signature, calls: Calls, options: ServingOptions, tell: Tell, prints: Prints) -> None:
        self._signature = signature
        self._calls = calls
        self._options = options
        self._tell = tell
        self._prints = prints
        calls.returned = prints.end  # one that is overdue leaves no line open either
        self._metrics = Metrics()
        self._count = 0
        self._openapi = document(signature, options.name)
        self.draining = False

    def app(self) -> Starlette:
        """The ASGI application; one that listens on loopback answers to loopback's names alone."""
        here = self._options.host in ("127.0.0.1", "localhost", "::1")
        model = "/v2/models/{model}"
        versioned = f"{model}/versions/{{version}}"
        routes = [
            Route("/", self._file("index.html", "text/html")),
            Route("/try.js", self._file("try.js", "text/javascript")),
            Route("/try.css", self._file("try.css", "text/css")),
            Route("/openapi.json", self._describe),
            Route("/metrics", self._tell_metrics),
            Route("/predict", self._guarded("predict", self._predict), methods=["POST"]),
            Route("/v2", self._server),
            Route("/v2/health/live", self._live),
            Route("/v2/health/ready", self._ready),
            *(Route(each, self._model) for each in (model, versioned)),
            *(Route(f"{each}/ready", self._model_ready) for each in (model, versioned)),
            *(
                Route(f"{each}/infer", self._guarded("infer", self._infer), methods=["POST"])
                for each in (model, versioned)
            ),
        ]
        hosts = [Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK), www_redirect=False)] if here else []
        handlers: dict[Any, Any] = {HTTPException: self._refuse, Problem: self._refuse_problem}
        return Starlette(routes=routes, middleware=hosts, exception_handlers=handlers)

    # What every request that calls goes through

    def _guarded(self, route: str, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            started = time.monotonic()
            name = request.headers.get("x-request-id", "")
            self._count += 1
            identity = name if re.fullmatch(r"[\w.:-]{1,64}", name) else f"{self._count:x}-{time.time_ns():x}"
            token = REQUEST.set(identity)
            self._prints.begin()
            try:
                response = await handler(request)
            except Problem as problem:
                response = self._problem(problem, identity)
            except ClientDisconnect:
                response = Response(status_code=499)  # nobody reads it; the log does
            except Exception as error:  # noqa: BLE001 - a fault of ours is an answer too, counted and told
                fault = FaultError(f"a fault of nbstep: {type(error).__name__}")
                fault.__cause__ = error
                response = self._problem(fault, identity)
            finally:
                REQUEST.reset(token)
                self._prints.end(identity)
            seconds = time.monotonic() - started
            response.headers["X-Request-Id"] = identity
            self._metrics.count(route, response.status_code, seconds)
            if response.status_code >= 400:  # a line for every success would take longer than most answers do
                self._tell(
                    f"{request.method} {request.url.path} {response.status_code} in {seconds * 1000:.1f} ms",
                    request=identity,
                    status=response.status_code,
                    seconds=seconds,
                )
            return self._departing(response)

        return guarded

    def _departing(self, response: Response) -> Response:
        """While the endpoint drains, each answer is its connection's last: the client's next one goes elsewhere."""
        if self.draining:
            response.headers["Connection"] = "close"
        return response

    def _problem(self, problem: Problem, identity: str = "") -> Response:
        if isinstance(problem, RaisedError | FaultError) and problem.__cause__ is not None:
            self._tell(traceback_of(problem.__cause__), severity="ERROR", request=identity)
        body = {"error": str(problem), "reference": problem.reference}
        headers = {"Retry-After": "1"} if problem.status == 503 else {}
        return JSONResponse(body | ({"request": identity} if identity else {}), problem.status, headers)

    async def _refuse(self, _: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        detail = error.detail if isinstance(error, HTTPException) else ""
        return self._departing(JSONResponse({"error": detail, "reference": "bad-input"}, status, headers))

    async def _refuse_problem(self, _: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)  # noqa: S101 - for the type checker: it is registered for no other
        return self._departing(self._problem(problem))

    async def _body(self, request: Request) -> bytes:
        """The request's body, as long as it is small and quick enough."""
        limit = self._options.body_bytes
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise Problem(
                f"a body in the encoding {encoding!r} is not read; send it as it is", status=415, reference="bad-input"
            )
        too_large = Problem(f"the request's body is larger than {limit} bytes", status=413, reference="too-large")
        if int(request.headers.get("content-length") or 0) > limit:
            raise too_large
        parts = bytearray()
        try:
            async with asyncio.timeout(self._options.request_seconds):
                async for part in request.stream():
                    parts += part
                    if len(parts) > limit:
                        raise too_large
        except TimeoutError:
            raise Problem(
                f"the body did not arrive within {self._options.request_seconds:g} s", status=408, reference="timed-out"
            ) from None
        return bytes(parts)

    # Answers

    async def _predict(self, request: Request) -> Response:
        body = await self._body(request)
        try:
            given = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidError(f"the body is not JSON: {error}") from error
        answer = await self._calls.call(self._signature.from_json(given))
        try:
            return Response(encode_answer(answer), media_type="application/json")
        except (TypeError, ValueError, RecursionError) as error:
            raise RaisedError(f"the answer cannot be said in JSON: {error}") from error

    async def _infer(self, request: Request) -> Response:
        self._check_model(request)
        length = request.headers.get(HEADER_LENGTH)
        if length is not None and not (length.isdecimal() and len(length) < MOST_DIGITS):
            raise InvalidError("Inference-Header-Content-Length is not a number")
        asked, tensors = read_request(await self._body(request), None if length is None else int(length))
        answer = await self._calls.call(self._signature.from_tensors(tensors))
        try:
            outputs = tensors_of(answer)
        except (TypeError, ValueError, RecursionError) as error:
            raise RaisedError(f"the answer is no tensor: {error}") from error
        head: dict[str, Any] = {"model_name": self._options.name, "model_version": VERSION}
        if asked.id:
            head["id"] = asked.id
        body, json_length = write_response(head, _wanted(asked, outputs), _binary(asked, outputs))
        if json_length is None:
            return Response(body, media_type="application/json")
        headers = {"Inference-Header-Content-Length": str(json_length)}
        return Response(body, headers=headers, media_type="application/octet-stream")

    def _check_model(self, request: Request) -> None:
        name, version = request.path_params["model"], request.path_params.get("version", VERSION)
        if name != self._options.name:
            unknown = f"model {name!r}; this endpoint serves {self._options.name!r}"
        elif version != VERSION:
            unknown = f"version {version!r} of {name!r}, only {VERSION!r}"
        else:
            return
        raise Problem(f"there is no {unknown}", status=404, reference="input-not-found")

    # What is told of the endpoint

    async def _server(self, _: Request) -> Response:
        return JSONResponse({"name": "nbstep", "version": _version(), "extensions": ["binary_tensor_data"]})

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"live": not self._calls.stuck}, 503 if self._calls.stuck else 200)

    async def _ready(self, _: Request) -> Response:
        ready = not self.draining and not self._calls.stuck
        return self._departing(JSONResponse({"ready": ready}, 200 if ready else 503))

    async def _model_ready(self, request: Request) -> Response:
        self._check_model(request)
        ready = not self.draining and not self._calls.stuck
        return JSONResponse({"name": self._options.name, "ready": ready}, 200 if ready else 503)

    async def _model(self, request: Request) -> Response:
        self._check_model(request)
        plans = {"inputs": self._signature.plans, "outputs": self._signature.outputs}
        tensors = {key: [msgspec.to_builtins(each) for each in value] for key, value in plans.items()}
        return JSONResponse({"name": self._options.name, "versions": [VERSION], "platform": "nbstep_python", **tensors})

    async def _describe(self, _: Request) -> Response:
        return JSONResponse(self._openapi)

    async def _tell_metrics(self, _: Request) -> Response:
        text = self._metrics.text(in_flight=self._calls.in_flight, overdue=self._calls.overdue)
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    def _file(self, name: str, media_type: str) -> Handler:
        content = (PAGE / name).read_bytes()

        async def answer(_: Request) -> Response:
            return Response(content, headers=PAGE_HEADERS, media_type=media_type)

        return answer


def _wanted(asked: InferRequest, outputs: list[Tensor]) -> list[Tensor]:
    if not asked.outputs:
        return outputs
    known = {each.name: each for each in outputs}
    for each in asked.outputs:
        if each.name not in known:
            raise InvalidError(f"there is no output {each.name!r}; there are {', '.join(map(repr, known))}")
    return [known[each.name] for each in asked.outputs]


def _binary(asked: InferRequest, outputs: list[Tensor]) -> dict[str, bool]:
    """Which outputs are wanted as binary data: those that say so, and all where the request says so of all."""
    otherwise = asked.parameters.get("binary_data_output") is True
    own = {each.name: each.parameters["binary_data"] for each in asked.outputs if "binary_data" in each.parameters}
    return {each.name: own.get(each.name, otherwise) is True for each in outputs}


def _version() -> str:
    from importlib import metadata

    with suppress(metadata.PackageNotFoundError):
        return metadata.version("nbstep")
    return "unknown"
