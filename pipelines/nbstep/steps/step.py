"""A notebook with what it takes and leaves: all that is known of a step before it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbstep.profiles.volume_claims import in_pod
from nbstep.steps.embedding import Source
from nbstep.steps.ports import Artifact, InputParameter, input_parameter
from nbstep_runner.contract import Deadlines, Slot, StepPlan
from nbstep_runner.parameters import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step.

    Attributes:
        image: What the step runs in; only chains can do without.
        source: The notebook as it runs.
        place: Where the container finds the notebook; ``None`` where the component carries it.
        values: Parameters that no pipeline sets.
        inputs: Artifacts that come in, beside those that a call brings.
        artifacts: Artifacts that the notebook has to leave.
        results: KFP's type of each result that the notebook has to report.
        runs: Under which folder the runner itself keeps each run; ``None``: on the container's disk.
    """

    name: str
    image: str | None
    source: Source = field(repr=False)
    signature: Signature
    place: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Artifact] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    runs: str | None = None
    html: bool = True
    kernel: str | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)

    def slots(self, extra: Mapping[str, Artifact] | None = None) -> tuple[dict[str, Slot], dict[str, Slot]]:
        """How the notebook is told of the artifacts that come in and that go out.

        Raises:
            BadInputError: No parameter takes one of them.
        """
        come = {name: one.slot(name, self.signature) for name, one in {**self.inputs, **(extra or {})}.items()}
        go = {name: one.slot(name, self.signature) for name, one in self.artifacts.items()}
        return come, go

    def parameters(self, extra: Mapping[str, Artifact] | None = None) -> dict[str, InputParameter]:
        """The parameters that a pipeline may set: those that are neither fixed nor say where an artifact lies."""
        come, go = self.slots(extra)
        taken = {slot.parameter for slot in (*come.values(), *go.values())} | set(self.values)
        return {one.name: input_parameter(one) for one in self.signature.parameters if one.name not in taken}

    def plan(self, extra: Mapping[str, Artifact] | None = None) -> StepPlan:
        """What the step's container has to know."""
        come, go = self.slots(extra)
        texts = tuple(name for name, one in self.parameters(extra).items() if one.text)
        return StepPlan(
            name=self.name,
            digest=self.source.digest,
            source=in_pod(self.place),
            runs=in_pod(self.runs),
            html=self.html,
            values=self.values,
            texts=texts,
            inputs=come,
            artifacts=go,
            results=self.results,
        )
