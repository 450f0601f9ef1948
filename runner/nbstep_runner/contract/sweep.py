"""Many runs of one notebook: what a launcher asks of those that make them, and what they tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

from nbstep_runner.contract.beside import RECORD
from nbstep_runner.contract.result import RunResult
from nbstep_runner.contract.spec import RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """Runs to make, in order.

    Attributes:
        jobs: How many at once, of one worker.
        kernel: The kernel's name, as the notebook or the launcher has it.
        language: The notebook's language, to choose a kernel by.
        modules: What the notebook imports, for a fork server to have ready.
        sets: The parameters that are each run's own, in the order of the runs: for whoever shows them.
        retries: How often a run is made again whose process was killed before it could give a verdict, or that ended
            because storage was away; by all processes together.
    """

    specs: tuple[RunSpec, ...]
    jobs: int
    kernel: str | None = None
    language: str | None = None
    modules: tuple[str, ...] = ()
    sets: tuple[dict[str, Any], ...] = ()
    retries: int = 0
    schema_version: int = 1

    def is_verdict(self, record: RunResult) -> bool:
        """Whether nobody makes a run of this sweep again that has left this record.

        A runner that does not count failures goes by its own ones: of a run that was interrupted there the record
        alone does not tell.
        """
        may_return = record.failed_before is None or record.failures <= self.retries
        return record.state.final and not (record.was_interrupted and may_return)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTurn:
    """That a worker which is told its runs one by one is to begin one.

    Attributes:
        index: Of the run's spec in the plan; ``None``: no other will come.
        digest: The SHA-256 of the record by which that was decided: the end of an earlier attempt, or a dead claim;
            empty where there was none. Where there is another one by now, another worker was faster.
        outdated: That record lay there before the sweep began: the attempts that it tells of do not count against the
            sweep's retries.
    """

    index: int | None = None
    digest: str = ""
    outdated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEvent:
    """A run has begun, or ended with its record.

    Attributes:
        index: Of the run's spec in the plan.
    """

    index: int
    result: RunResult | None = None


class Listed(Protocol):
    """An object as a store lists it."""

    @property
    def uri(self) -> str:
        """Its place."""

    @property
    def modified(self) -> float | None:
        """When it was written, by the store's clock."""


AnyListed = TypeVar("AnyListed", bound=Listed)


def records_among(
    listed: Iterable[AnyListed], runs: str, plan: str, ending: str = f"/{RECORD}"
) -> tuple[dict[str, AnyListed], float | None]:
    """The records of a sweep's runs by the runs' names, and when the sweep began.

    Args:
        listed: All objects below the folder of its runs.
        runs: The URI of that folder; it ends with ``/``.
        plan: The place of the sweep's plan, relative to it: it is written when the sweep begins.
        ending: Of the records' places.
    """
    records: dict[str, AnyListed] = {}
    begun = None
    for each in listed:
        *above, folder, name = unquote(each.uri).split("/")
        if len(above) != runs.count("/"):
            continue  # deeper down a notebook may put anything
        if f"{folder}/{name}" == plan:
            begun = each.modified
        elif f"/{name}".endswith(ending):
            records[folder] = each
    return records, begun
