"""What can be wrong with a request: a status, a word for programs, a sentence for people."""

from __future__ import annotations

from typing import ClassVar


class Problem(Exception):  # noqa: N818 - the term of RFC 9457
    """An answer that is not the one that was asked for.

    Attributes:
        status: The HTTP status.
        reference: One word for programs; where an exit code means the same, the word is the same.
    """

    status: ClassVar[int] = 500
    reference: ClassVar[str] = "internal"


class InvalidError(Problem):
    """The request is not one that the callable takes."""

    status = 422
    reference = "bad-input"


class UnknownError(Problem):
    """There is nothing of that name."""

    status = 404
    reference = "input-not-found"


class TooLargeError(Problem):
    """The request's body is larger than is read."""

    status = 413
    reference = "too-large"


class EncodedError(Problem):
    """The request's body is compressed, which would let a small one become a large one."""

    status = 415
    reference = "bad-input"


class SlowBodyError(Problem):
    """The request's body did not arrive in time."""

    status = 408
    reference = "timed-out"


class BusyError(Problem):
    """As many requests as may wait do so already."""

    status = 503
    reference = "busy"


class OverdueError(Problem):
    """The callable did not answer in time."""

    status = 504
    reference = "timed-out"


class RaisedError(Problem):
    """The callable raised, or answered what cannot be said."""

    reference = "cell-failed"


class FaultError(Problem):
    """Something went wrong that nobody has foreseen."""
