"""What an HTTP status of a store means for a run, in words; shared by every store that speaks HTTP."""

from __future__ import annotations

from typing import Final

from nbstep_runner.errors import (
    BadInputError,
    InputNotFoundError,
    NbstepError,
    OutputConflictError,
    StorageDeniedError,
    StorageUnavailableError,
)
from nbstep_runner.stores.retrying import RefusedError, TransientError
from nbstep_runner.stores.uris import redact

NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")
"""In the words of OpenSSL: what answered does not speak TLS."""
_PASSING: Final = frozenset({408, 423, 425, 429})
_FINAL: Final = frozenset({501, 505, 507, 508, 510, 511})
"""Of the server's own errors, those that another try meets again."""
_CHANGED: Final = (OutputConflictError, "{uri} was created, changed or removed by another meanwhile", "")
_GONE: Final = (InputNotFoundError, "There is no {uri}", "")
_MEANINGS: Final[dict[int, tuple[type[NbstepError], str, str]]] = {
    401: (StorageDeniedError, "The store does not accept the credentials for {uri}", ""),
    403: (StorageDeniedError, "The credentials do not allow {operation} {uri}", ""),
    404: _GONE,
    405: (StorageDeniedError, "The server does not allow {operation} {uri}", "Use a server that allows it."),
    409: _CHANGED,
    410: _GONE,
    412: _CHANGED,
    413: (
        StorageDeniedError,
        "{uri} is larger than the server takes",
        "Raise its limit (nginx: client_max_body_size, Apache: LimitRequestBody), or write to another place.",
    ),
    414: (BadInputError, "The name of {uri} is too long for the server", "Choose a shorter name."),
    507: (StorageUnavailableError, "The server has no room left for {operation} {uri}", "Free some space there."),
}
_NO_PLACE: Final = (BadInputError, "The place of {uri} does not exist", "Create its bucket or folder.")
_REFUSED: Final = (RefusedError, "The store refuses {operation} {uri}", "Check the name, and that the store takes it.")


def explained(status: int, doing: str, detail: str = "", *, retry_after: float = 0.0) -> Exception:
    """The error for a status that is no success.

    Args:
        status: Of the response.
        doing: Such as ``reading gs://bucket/in.ipynb``.
        detail: What the server says of it, where that is short.
        retry_after: The seconds that the server asked for.
    """
    operation, _, uri = doing.partition(" ")
    said = f": {redact(detail.strip())[:300]}" if detail.strip() else ""
    if status in _PASSING or (status >= 500 and status not in _FINAL):
        return TransientError(f"the store answered {status}{said}", retry_after=retry_after)
    kind, sentence, hint = _MEANINGS.get(status, _REFUSED)
    if kind is InputNotFoundError and operation == "writing":
        kind, sentence, hint = _NO_PLACE
    message = redact(sentence.format(operation=operation, uri=uri))
    return kind(f"{message} ({status}{said}).", hint=hint, context=redact(doing))
