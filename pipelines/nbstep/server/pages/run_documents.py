"""What a run was asked for, what it left and where it was, as written down; credentials in URIs are hidden."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nbstep.backends.server.interface import Detail
from nbstep.runs.run import Run
from nbstep.server.starting import SUBMITTED_BY
from nbstep.views.text import visible
from nbstep_runner.contract import RunResult, encode
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.page import cut, environment_facts, facts
from nbstep_runner.stores import redact

MOST_CHARACTERS: Final = 2**16
"""Of one document on a page."""


def facts_of(told: Detail, record: RunResult) -> dict[str, Any]:
    """What a run is, by the words for it, as the header of a run's page has it but for what a page has at its head."""
    known = {name: value for name, value in facts(record).items() if name not in ("run", "started", SUBMITTED_BY)}
    return {name: _redacted(value) for name, value in (known | {"handle": told.handle}).items()}


def environment_of(record: RunResult) -> dict[str, str]:
    """What a run had around it, by the words for it; empty until it is known."""
    return {} if record.environment is None else environment_facts(record.environment)


def documents_of(run: Run) -> dict[str, str]:
    """The spec and the record of a run by their names, as far as they are there."""
    found = {}
    for name, read in (("Spec", run.spec), ("Record", run.record)):
        try:
            document = read()
        except (InputNotFoundError, BadInputError):
            continue
        if document is not None:
            told = msgspec.json.encode(_redacted(msgspec.json.decode(encode(document))))
            found[name] = cut(visible(msgspec.json.format(told, indent=2).decode()), MOST_CHARACTERS)
    return found


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value) if "://" in value else value
        case list():
            return [_redacted(item) for item in value]
        case dict():
            return {name: _redacted(item) for name, item in value.items()}
    return value
