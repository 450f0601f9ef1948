"""What can be wrong with a request: a status, a word for programs, a sentence for people."""

from __future__ import annotations


class Problem(Exception):  # noqa: N818 - the term of RFC 9457
    """An answer that is not the one that was asked for.

    Attributes:
        status: The HTTP status.
        reference: One word for programs; where an exit code means the same, the word is the same.
    """

    status = 500
    reference = "internal"

    def __init__(self, message: str, *, status: int | None = None, reference: str | None = None) -> None:
        super().__init__(message)
        self.status = status or self.status
        self.reference = reference or self.reference


class InvalidError(Problem):
    """The request is not one that the callable takes."""

    status = 422
    reference = "bad-input"


class RaisedError(Problem):
    """The callable raised, or answered what cannot be said."""

    reference = "cell-failed"


class FaultError(Problem):
    """Something went wrong that nobody has foreseen."""
