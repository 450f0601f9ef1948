"""Where everything about a submitted run lies: in one folder, by fixed names."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from nbstep.authoring.notebook import label_of
from nbstep_runner.contract import OUTPUT, PLAN, RECORD, SPEC
from nbstep_runner.stores import join


@dataclass(frozen=True, slots=True)
class RunPlaces:
    """The URIs of one submitted run's objects."""

    folder: str

    @classmethod
    def of(cls, runs: str, run_id: str) -> RunPlaces:
        """The places of a run below the folder of all runs."""
        return cls(join(runs, run_id))

    @property
    def runs(self) -> str:
        """The folder of all runs."""
        return self.folder.rpartition("/")[0]

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
    def submission(self) -> str:
        """Where the run was sent: its handle."""
        return join(self.folder, "submission.json")

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


@dataclass(frozen=True, slots=True)
class SweepPlaces:
    """The URIs of what a submitted sweep has beside the folders of its runs: a folder of its own among them."""

    folder: str

    @classmethod
    def of(cls, runs: str, name: str) -> SweepPlaces:
        """The places of a sweep in the folder of its runs."""
        return cls(join(runs, name))

    @property
    def runs(self) -> str:
        """The folder of its runs."""
        return self.folder.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The sweep's."""
        return self.folder.rpartition("/")[2]

    @property
    def plan(self) -> str:
        """The ``SweepSpec``. It is written when the sweep is started, and is so the time of its start."""
        return join(self.folder, PLAN)

    @property
    def submission(self) -> str:
        """Where the sweep was sent: its handle."""
        return join(self.folder, "submission.json")

    def record(self, run: str) -> str:
        """The ``RunResult`` of one of its runs."""
        return join(self.runs, f"{run}/{RECORD}")


def new_run_id(notebook: str) -> str:
    """A name for a run: says what it runs, sorts by time, is unlikely to be anybody else's, fits a cluster."""
    return f"{label_of(notebook, 24, 'run')}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
