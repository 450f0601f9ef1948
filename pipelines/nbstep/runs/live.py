"""A run shown in Jupyter, kept up to date by looks at its place and by its log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from nbstep.runs.watch import Watchable, watch_of
from nbstep.views.jupyter import Card
from nbstep.views.log_lines import LogLine
from nbstep.views.status import RunStatus
from nbstep_runner.errors import NbstepError


class Showable(Watchable, Protocol):
    """What a card has to know of a run."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def output_uri(self) -> str:
        """Where the executed notebook is, or will be."""

    def status(self) -> RunStatus:
        """How it stands now."""

    def usual_seconds(self) -> float | None:
        """What it took the last time, if that is known."""

    def lines(self, *, follow: bool = False) -> Iterator[LogLine]:
        """The log's lines; to the end of the run if ``follow``."""


def show(run: Showable) -> None:
    """Display a run's card, and let it follow the run to its end."""
    card = Card(run.id, handle=run.handle, output_uri=run.output_uri)
    try:
        status = run.status()
    except NbstepError as error:
        card.show(error)
    else:
        card.show(status)
        if status.state.final:
            return
    watch_of(run.backend).add([run], lambda _, look: card.tell(look), read_record=True)
    threading.Thread(target=_follow, args=(run, card), name="nbstep-card-log", daemon=True).start()


def _follow(run: Showable, card: Card) -> None:
    with suppress(NbstepError, OSError):
        if (seconds := run.usual_seconds()) is not None:
            card.expect(seconds)
    with suppress(NbstepError, OSError):  # without its log a card still shows how the run stands
        for line in run.lines(follow=True):
            card.hear(line.raw)
