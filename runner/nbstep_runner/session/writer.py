"""What a run writes to storage: despite a stop, for its share of the grace period, and remembered by its version."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from nbstep_runner.errors import InternalError, NbstepError
from nbstep_runner.session.ledger import Ledger
from nbstep_runner.stores import Source, Store
from nbstep_runner.supervisor import Supervisor, begin

T = TypeVar("T")
PUBLISHING: Final = "publishing"
CONFIRM_SHARE: Final = 0.3
NOTEBOOK_SHARE: Final = 0.6
"""Of what is left of the grace period after a stop; log and record need some of it, above all if the notebook fails."""
COMPANION_SHARE: Final = 0.25
"""Of what is left of a stopped run's grace period, for each thing that the run can do without."""
LOG_SHARE: Final = 0.5
"""The same for the log, once the record is there."""


class RunWriter:
    """Blocking work on the stores of one run.

    Args:
        open_store: Finds the store of a URI.
        supervisor: Shares the grace period out after a stop.
        ledger: Is warned of what the run can do without.

    Attributes:
        written: The version of each object that the run has written, by its URI.
    """

    def __init__(self, open_store: Callable[[str], Store], supervisor: Supervisor, ledger: Ledger) -> None:
        self._open_store = open_store
        self._supervisor = supervisor
        self._ledger = ledger
        self.written: dict[str, str] = {}

    def write(
        self, uri: str, data: Source, version: str | None = None, *, doing: str = PUBLISHING, share: float = 1.0
    ) -> str:
        """Write an object, if its place is at ``version`` where one is given, and return its version."""
        write = partial(self._open_store(uri).write, uri, data, if_version=version)
        self.written[uri] = self.call(write, doing, share=share)
        return self.written[uri]

    def withdraw(self) -> None:
        """Remove what was written, where it is still what this run has written."""
        for uri, version in dict(self.written).items():  # a write that did not end in time may still add its own
            with suppress(NbstepError):
                self.call(partial(self._open_store(uri).delete, uri, if_version=version), share=COMPANION_SHARE)

    def attempt(self, task: Callable[[], object]) -> bool:
        """Do what the verdict does not depend on; whether it worked. If not, the record says why.

        Raises:
            NbstepError: The run was stopped, and the task does not go on despite that.
        """
        try:
            task()
        except NbstepError as error:
            if self._supervisor.stop is not None and error is self._supervisor.stop.error:
                raise
            self._ledger.warn(f"{error.message} ({error.context})" if error.context else error.message)
            return False
        return True

    def spare(self, work: Callable[[], object], doing: str, *, share: float = COMPANION_SHARE) -> None:
        """Do by :meth:`call` what the verdict does not depend on; see :meth:`attempt`."""
        self.attempt(partial(self.call, work, doing, share=share))

    def call(self, work: Callable[[], T], doing: str = PUBLISHING, *, share: float = 1.0) -> T:
        """What the work returns, for which a stop leaves this share of what is left of the grace period.

        Raises:
            NbstepError: Its own error, or an ``InternalError`` in place of one that is none of ours; or it does not end
                in time.
        """
        return self.wait(begin(work, doing), doing, share=share)

    def wait(self, work: Future[T], doing: str = PUBLISHING, *, share: float = 1.0) -> T:
        """As :meth:`call`, of work that was begun."""
        try:
            return self._supervisor.wait(work, doing=doing, despite_stop=True, share=share)
        except NbstepError:
            raise
        except Exception as error:
            raise InternalError(f"{type(error).__name__}: {error}", context=doing) from error
