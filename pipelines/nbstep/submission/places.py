"""Where everything about a submitted run lies: in one folder, by fixed names."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from nbstep.authoring.notebook import label_of
from nbstep_runner.contract import OUTPUT, PLAN, RECORD, SPEC
from nbstep_runner.stores import join


@dataclass(frozen=True, slots=True)
class _Places:
    """What was submitted, in a folder of its own."""

    folder: str

    @classmethod
    def of(cls, runs: str, name: str) -> Self:
        """Those of a run or a sweep below the folder of runs."""
        return cls(join(runs, name))

    @property
    def runs(self) -> str:
        """The folder of all runs; of a sweep, of its runs."""
        return self.folder.rpartition("/")[0]

    @property
    def submission(self) -> str:
        """Where it was sent: its handle."""
        return join(self.folder, "submission.json")


class RunPlaces(_Places):
    """The URIs of one submitted run's objects."""

    __slots__ = ()

    @property
    def input(self) -> str:
        """The notebook, as it was submitted."""
        return join(self.folder, "input.ipynb")

    @property
    def params(self) -> str:
        """The parameters, as they were checked."""
        return join(self.folder, "params.yaml")

    @property
    def spec(self) -> str:
        """The ``RunSpec``."""
        return join(self.folder, SPEC)

    @property
    def output(self) -> str:
        """The executed notebook."""
        return join(self.folder, OUTPUT)

    @property
    def record(self) -> str:
        """The ``RunResult``."""
        return join(self.folder, RECORD)

    @property
    def found_by(self) -> tuple[str, ...]:
        """The objects without which nobody finds or lists the run."""
        return self.submission, self.spec, self.record

    def file(self, path: str) -> str:
        """A declared file."""
        return join(self.folder, f"files/{path}")


class SweepPlaces(_Places):
    """The URIs of what a submitted sweep has beside the folders of its runs: a folder of its own among them."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The sweep's."""
        return self.folder.rpartition("/")[2]

    @property
    def plan(self) -> str:
        """The ``SweepSpec``. It is written when the sweep is started, and is so the time of its start."""
        return join(self.folder, PLAN)

    def record(self, run: str) -> str:
        """The ``RunResult`` of one of its runs."""
        return join(self.runs, f"{run}/{RECORD}")


def new_run_id(notebook: str) -> str:
    """A name for a run: says what it runs, sorts by time, is unlikely to be anybody else's, fits a cluster."""
    return f"{label_of(notebook, 24, 'run')}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
