"""Many runs on one machine: what a launcher asks of its worker, and what the worker tells."""

from __future__ import annotations

from dataclasses import dataclass

from nbstep_runner.contract.result import RunResult
from nbstep_runner.contract.spec import RunSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """Runs to make, in order.

    Attributes:
        jobs: How many at once.
        kernel: The kernel's name, as the notebook or the launcher has it.
        language: The notebook's language, to choose a kernel by.
        modules: What the notebook imports, for a fork server to have ready.
    """

    specs: tuple[RunSpec, ...]
    jobs: int
    kernel: str | None = None
    language: str | None = None
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEvent:
    """A run has begun, or ended with its record.

    Attributes:
        index: Of the run's spec in the plan.
    """

    index: int
    result: RunResult | None = None
