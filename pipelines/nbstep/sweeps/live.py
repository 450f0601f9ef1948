"""A submitted sweep shown in Jupyter: how far it is, kept up to date, and in the end its table."""

from __future__ import annotations

from html import escape
from typing import Any, Protocol

from nbstep.runs.watch import Look, Watchable, watch_of
from nbstep.sweeps.outcome import Sweep
from nbstep.views.status import RunStatus, reason
from nbstep_runner.errors import NbstepError
from nbstep_runner.page import badge


class Showable(Watchable, Protocol):
    """What the view has to know of a sweep."""

    @property
    def id(self) -> str:
        """The sweep's id."""

    def status(self) -> RunStatus:
        """How it stands now."""

    def outcome(self) -> Sweep:
        """What has come of it by the last look."""


def show(sweep: Showable) -> None:
    """Display how the sweep stands, and let the display follow it to its end."""
    from IPython import display

    library: Any = display  # its functions are not annotated
    look: Look
    try:
        look = sweep.status()
    except NbstepError as error:
        look = error
    shown = library.display(library.HTML(drawn(sweep, look)), display_id=True)
    if isinstance(look, Exception) or not look.state.final:
        watch_of(sweep.backend).add([sweep], lambda _, look: shown.update(library.HTML(drawn(sweep, look))))


def drawn(sweep: Showable, look: Look) -> str:
    """The sweep as HTML: a bar and the newest words while it runs, its table at the end."""
    if isinstance(look, Exception):
        return f"<p>{escape(sweep.id)}: {escape(reason(look))}</p>"
    done = sweep.outcome()
    ended, count = sum(run.result is not None for run in done.runs), len(done.runs)
    words = "; ".join([look.words, *look.problems])
    head = f"<p>{badge(look.state)} {escape(sweep.id)}: {escape(words)}</p>"
    if look.state.final:
        return head + done._repr_html_()
    return f'{head}<p><progress value="{ended}" max="{count}" aria-label="{ended} of {count} runs"></progress></p>'
