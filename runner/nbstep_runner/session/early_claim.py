"""A claim that is tried for while the inputs are still being read: it saves a run the round trip of its own."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from nbstep_runner.errors import NbstepError
from nbstep_runner.session.background import begin
from nbstep_runner.session.claim import ClaimKeeper
from nbstep_runner.stores import ABSENT

if TYPE_CHECKING:
    from nbstep_runner.contract import RunResult
    from nbstep_runner.supervisor import Supervisor

DOING: Final = "claiming the output"


class EarlyClaim:
    """Writes a claim where there is no record; where there is one, nothing is changed.

    Args:
        keeper: Has not taken the claim yet.
        record: What is known of the run so far.
    """

    def __init__(self, keeper: ClaimKeeper, record: RunResult) -> None:
        self._keeper = keeper
        self._taking = begin(partial(keeper.take, record, ABSENT), DOING)

    def settle(self, supervisor: Supervisor) -> ClaimKeeper | None:
        """The claim, once it is known to be ours; ``None`` where the place was not free, or could not be written.

        Waits despite a stop, for as long as the grace period lasts: nobody would end a claim that nobody knows of.
        """
        with suppress(NbstepError):
            supervisor.call(self._taking.result, doing=DOING, despite_stop=True)
            return self._keeper
        return None
