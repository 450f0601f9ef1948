"""A claim that is tried for while the inputs are still being read: it saves a run the round trip of its own."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING

from nbstep_runner.errors import NbstepError
from nbstep_runner.session.claim import ClaimKeeper
from nbstep_runner.stores import ABSENT

if TYPE_CHECKING:
    from nbstep_runner.contract import RunResult
    from nbstep_runner.supervisor import Supervisor


class EarlyClaim:
    """Writes a claim where there is no record, in a thread of its own; where there is one, nothing is changed.

    Args:
        keeper: Has not taken the claim yet.
        record: What is known of the run so far.
    """

    def __init__(self, keeper: ClaimKeeper, record: RunResult) -> None:
        self._keeper = keeper
        self._taken: Future[None] = Future()
        threading.Thread(target=self._take, args=(record,), name="nbstep-claim", daemon=True).start()

    def _take(self, record: RunResult) -> None:
        try:
            self._keeper.take(record, ABSENT)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that asks
            self._taken.set_exception(error)
        else:
            self._taken.set_result(None)

    def settle(self, supervisor: Supervisor) -> ClaimKeeper | None:
        """The claim, once it is known to be ours; ``None`` where the place was not free, or could not be written.

        Waits despite a stop, for as long as the grace period lasts: nobody would end a claim that nobody knows of.
        """
        with suppress(NbstepError):
            supervisor.call(self._taken.result, doing="claiming the output", despite_stop=True)
            return self._keeper
        return None
