"""A service of one folder, and a profile by which the launcher reaches it."""

from __future__ import annotations

from typing import Any, cast

import nbstep
from nbstep import Profile, Run
from nbstep.backends.memory import MemoryBackend
from nbstep.backends.registry import backend_named
from nbstep.backends.stores import named_runs
from support import notebooks

CELLS: list[str | notebooks.Code] = [
    notebooks.Code("rate: float = 0.5\nname: str = 'a'\nmore = None", tags=("parameters",)),
    "rate",
]


class Team:
    """A service of one folder, whose runs go as a test says, and a profile by which it is reached.

    Attributes:
        folder: The service's, as those call it who reach it.
    """

    def __init__(self, url: str, runs: str, **server: Any) -> None:
        self.runs = runs
        self.memory = cast("MemoryBackend", backend_named("memory"))
        place = {"url": url, "folder": "team", "token": {"secret": "env:TEAM_TOKEN"}, **server}
        self.profile = nbstep.profiles.overlaid(Profile(), {"on": "server", "server": place})
        self.folder = named_runs(self.profile)

    def submit(self, params: dict[str, Any] | None = None, **options: Any) -> Run:
        return nbstep.submit("train.ipynb", params, profile=self.profile, **options)

    def handle(self, run: Run) -> str:
        """What the run's own place calls it."""
        return f"memory://{run.id}"

    def end(self, run: Run, **end: Any) -> None:
        self.memory.end(self.handle(run), **end)
