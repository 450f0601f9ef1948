"""How a run stands, as everything that shows it or waits for it is told."""

from __future__ import annotations

from dataclasses import dataclass

from nbstep_runner.contract import RunResult, RunState
from nbstep_runner.errors import NbstepError


def reason(error: Exception) -> str:
    """Why nothing is known of a run now, for people."""
    return f"{error.message} {error.hint}" if isinstance(error, NbstepError) else repr(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """How a run stands.

    Attributes:
        words: One sentence for people.
        problems: What holds it up or went wrong, a sentence each.
        record: What lies in storage, the verdict if ``state.final``.
    """

    state: RunState
    words: str = ""
    problems: tuple[str, ...] = ()
    record: RunResult | None = None

    @property
    def sentence(self) -> str:
        """State and words in one line; the words of a run that has ended begin with its state."""
        if self.state.final and self.words.startswith(str(self.state)):
            return self.words
        return f"{self.state} ({self.words})" if self.words else str(self.state)

    def _repr_html_(self) -> str:
        from nbstep.views.runs_table import status_table

        return status_table(self.state, self.words, self.problems)
