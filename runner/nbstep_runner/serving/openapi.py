"""The endpoint's description: OpenAPI 3.1, which the page to try it reads too."""

from __future__ import annotations

from typing import Any

from nbstep_runner.serving.signature import Signature

PROBLEM = {
    "type": "object",
    "properties": {"error": {"type": "string"}, "reference": {"type": "string"}, "request": {"type": "string"}},
    "required": ["error", "reference"],
}
PROBLEMS = {
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "415": "The body is compressed",
    "422": "The inputs are not ones that the callable takes; the error says why",
    "500": "The callable raised",
    "503": "Too many requests at once; try again",
    "504": "The callable did not answer in time",
}


def document(signature: Signature, name: str) -> dict[str, Any]:
    """The description of an endpoint of that name."""
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": "1", "description": signature.description or ""},
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Call the served function with its inputs by name",
                    "requestBody": {"required": True, "content": _json(signature.input_schema(), signature.example)},
                    "responses": {
                        "200": {
                            "description": "What the function returned",
                            "content": _json(signature.output_schema()),
                        },
                        **{code: _problem(text) for code, text in PROBLEMS.items()},
                    },
                }
            },
            "/v2/health/live": _get("Whether the endpoint lives"),
            "/v2/health/ready": _get("Whether it takes requests"),
            "/v2": _get("The server, as the Open Inference Protocol v2 describes it"),
            f"/v2/models/{name}": _get("The model's inputs and outputs as tensors"),
            f"/v2/models/{name}/ready": _get("Whether the model takes requests"),
            f"/v2/models/{name}/infer": {
                "post": {
                    "summary": "Open Inference Protocol v2, with its binary tensor data extension",
                    "requestBody": {"required": True, "content": _json({"type": "object"})},
                    "responses": {"200": {"description": "Tensors"}, "422": _problem(PROBLEMS["422"])},
                }
            },
        },
    }


def _json(schema: dict[str, Any], example: Any = None) -> dict[str, Any]:
    return {"application/json": {"schema": schema} | ({"example": example} if example else {})}


def _get(summary: str) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {"200": {"description": "Yes"}}}}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": _json(PROBLEM)}
