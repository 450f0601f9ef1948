"""What a run was asked for and what it left, as they are written down, for people to read."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from nbstep.runs.run import Run
from nbstep.views.text import visible
from nbstep_runner.contract import encode
from nbstep_runner.errors import BadInputError, InputNotFoundError
from nbstep_runner.page import cut
from nbstep_runner.stores import redact

MOST_CHARACTERS: Final = 2**16
"""Of one document on a page."""


def documents_of(run: Run) -> dict[str, str]:
    """The spec and the record of a run by their names, as far as they are there; a URI's credentials are hidden."""
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
