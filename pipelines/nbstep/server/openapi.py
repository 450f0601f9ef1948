"""The interface described as OpenAPI 3.1, made from the types that requests are read into and answers written from."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

import msgspec

from nbstep.backends.server.interface import Accepted, Detail, Page, ProblemTold, Standing, SweepDetail, SweepList
from nbstep.server.asked import Again, Asked
from nbstep.server.listing import Query
from nbstep.server.problems import MEDIA_TYPE
from nbstep.server.started_sweeps import AskedSweep
from nbstep_runner.contract import RunState

JSON: Final = "application/json"
SCHEMAS: Final = "#/components/schemas/{name}"
_TYPES: Final = (*(Page, Detail, Accepted, Again, Asked, Standing, ProblemTold), *(AskedSweep, SweepList, SweepDetail))

Member = dict[str, Any]
KEY: Final[Member] = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def document() -> Member:
    """The whole description."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=SCHEMAS)
    return {
        "openapi": "3.1.0",
        "info": {"title": "nbstep", "version": metadata.version("nbstep"), "license": {"name": "Apache-2.0"}},
        "security": [{"bearer": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "responses": {"problem": _content("What went wrong (RFC 9457).", MEDIA_TYPE, _ref(ProblemTold))},
        },
    }


def _paths() -> Member:
    uri = {"name": "uri", "in": "query", "required": True, "schema": {"type": "string"}}
    schema = {"200": _content("JSON Schema of the notebook's parameters.", JSON, {"type": "object"})}
    signature = _operation("Tell what a notebook takes", [uri], schema)
    return {**_paths_of_runs(), **_paths_of_sweeps(), "/v1/notebooks/signature": {"get": signature}}


def _paths_of_runs() -> Member:
    run, name = _in_path("id", "A run's id, whole."), _in_path("name", "An object's name, as the run lists it.")
    found = {"200": _content("One run.", JSON, _ref(Detail))}
    taken = _taken("The run is started, or was by this very request.")
    return {
        "/v1/runs": {
            "get": _operation("List runs, newest first", _query(), {"200": _content("Runs.", JSON, _ref(Page))}),
            "post": _operation("Start a run", [KEY], taken, _asked(Asked)),
        },
        "/v1/runs/{id}": {"get": _operation("Tell of one run", [run], found)},
        "/v1/runs/{id}/events": {"get": _events(run)},
        "/v1/runs/{id}/objects/{name}": {
            "get": _operation("Fetch an object of a run", [run, name], {"200": _content("It.", "*/*", {})})
        },
        "/v1/runs/{id}/cancel": {
            "post": _operation("Ask a run to save and end", [run], {"202": _content("Asked.", JSON, _ref(Accepted))})
        },
        "/v1/runs/{id}/rerun": {
            "post": _operation("Run a run again", [run, KEY], taken, {"content": {JSON: {"schema": _ref(Again)}}})
        },
    }


def _events(run: Member) -> Member:
    id_of_event = {"type": "string", "pattern": r"^[1-9]\d*-[1-9]\d*$"}
    last = {"name": "Last-Event-ID", "in": "header", "schema": id_of_event}
    after = _in_query("after", "As Last-Event-ID, which goes before.", id_of_event)
    follow = _in_query("follow", "With false the log as it is, and then `end`.", {"type": "boolean", "default": True})
    stream = "Server-sent events: `line` (its id is ATTEMPT-SEQ), `state` and `end` (a Standing), `problem`."
    answer = {"200": _content(stream, "text/event-stream", {})}
    return _operation("Follow a run", [run, last, after, follow], answer)


def _paths_of_sweeps() -> Member:
    beginning = _in_query("name", "What the path begins with.", {"type": "string"})
    path = _in_path("path", "Where the sweep lies below the folder, as the list tells it.")
    sweeps = {"200": _content("Sweeps.", JSON, _ref(SweepList))}
    sweep = {"200": _content("One sweep, a row for each set.", JSON, _ref(SweepDetail))}
    taken = _taken("The sweep is started, or goes on.")
    ended = {"202": _content("Asked.", JSON, _ref(Accepted))}
    return {
        "/v1/sweeps": {
            "get": _operation("List sweeps, the last written first", [beginning], sweeps),
            "post": _operation("Start a sweep", [KEY], taken, _asked(AskedSweep)),
        },
        "/v1/sweeps/{path}": {"get": _operation("Tell of one sweep", [path], sweep)},
        "/v1/sweeps/{path}/cancel": {"post": _operation("Ask a sweep to save and end", [path], ended)},
    }


def _operation(summary: str, parameters: list[Member], answers: Member, body: Member | None = None) -> Member:
    folder = _in_query("folder", "The first that the caller may use if left out.", {"type": "string"})
    told: Member = {"summary": summary, "parameters": [*parameters, folder]}
    told |= {"requestBody": body} if body else {}
    return told | {"responses": answers | {"default": {"$ref": "#/components/responses/problem"}}}


def _taken(description: str) -> Member:
    return {"202": _content(description, JSON, _ref(Accepted), location=True)}


def _asked(kind: type) -> Member:
    """The body of a submission: JSON that names a notebook, or a form with the notebook and the same JSON without."""
    upload = {
        "type": "object",
        "required": ["notebook"],
        "properties": {
            "notebook": {"type": "string", "contentMediaType": "application/x-ipynb+json"},
            "request": {"type": "string", "contentMediaType": JSON, "contentSchema": _ref(kind)},
        },
    }
    return {"required": True, "content": {JSON: {"schema": _ref(kind)}, "multipart/form-data": {"schema": upload}}}


def _query() -> list[Member]:
    """What a list is asked for, from the type that it is read into."""
    (reference,), schemas = msgspec.json.schema_components([Query], ref_template=SCHEMAS)
    fields = schemas[reference["$ref"].rpartition("/")[2]]["properties"]
    inlined = {name: _plain(name, schema) for name, schema in fields.items()}
    return [{"name": name, "in": "query", "schema": schema} for name, schema in inlined.items()]


def _plain(name: str, schema: Member) -> Member:
    """A field as a query has it, where nothing stands for nothing."""
    if name == "state":
        return {"type": "string", "enum": sorted(RunState)}
    if name == "since":
        return {"type": "string", "format": "date-time"}
    return {key: value for key, value in schema.items() if key != "default" or value}


def _in_query(name: str, description: str, schema: Member) -> Member:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _in_path(name: str, description: str) -> Member:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}


def _content(description: str, media_type: str, schema: Member, *, location: bool = False) -> Member:
    answer: Member = {"description": description, "content": {media_type: {"schema": schema}}}
    where = {"Location": {"description": "Where it is told of.", "required": True, "schema": {"type": "string"}}}
    return answer | ({"headers": where} if location else {})


def _ref(kind: type) -> Member:
    return {"$ref": SCHEMAS.format(name=kind.__name__)}
