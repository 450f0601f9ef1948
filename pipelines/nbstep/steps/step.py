"""A step as data: a notebook, what goes into it and what comes out of it. Everything done with steps builds on this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbstep.profiles.exposure import ServedStep
from nbstep.profiles.kubernetes import VolumeClaim
from nbstep.profiles.volume_claims import in_pod
from nbstep.steps.embedding import Source
from nbstep.steps.ports import Artifact, InputParameter, input_parameter
from nbstep_runner.contract import HTML, METRICS, NOTEBOOK, WORKSPACE, Deadlines, Slot, StepSpec, StorageOptions
from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A notebook as a step of any engine.

    Attributes:
        image: What the step runs in; only chains can do without.
        source: The notebook as it runs.
        place: Where the container finds the notebook; ``None`` where the component carries it.
        values: Parameters that no pipeline sets.
        inputs: Artifacts that come in, beside those that a call brings.
        artifacts: Artifacts that the notebook has to leave.
        results: KFP's type of each result that the notebook has to report.
        runs: Under which folder the runner itself keeps each run; ``None``: on the container's disk.
        collect: Which files of the working directory are stored with the run, where it is kept under ``runs``.
        retries: How often the step itself repeats a run that ended with what may pass.
        state: Each run keeps its state folder from attempt to attempt.
        storage: How stores are reached, from here and from the container.
        claims: Where this machine has the claims that places name.
        served: The endpoint that the step starts instead of running the notebook; its only output is a result.
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
    storage: StorageOptions = field(default_factory=StorageOptions)
    claims: dict[str, VolumeClaim] = field(default_factory=dict)
    retries: int = 0
    state: bool = False
    collect: tuple[str, ...] = ()
    served: ServedStep | None = None

    @property
    def in_workspace(self) -> bool:
        """Whether the runs are kept in the folder that KFP's steps of one run of a pipeline share."""
        return self.runs is not None and WORKSPACE in self.runs

    @property
    def outputs(self) -> dict[str, Artifact]:
        """Every artifact that the step leaves: its own (executed notebook, page, metrics) and the notebook's."""
        if self.served:
            return {}
        page = {HTML: Artifact("HTML")} if self.html else {}
        return {NOTEBOOK: Artifact(), **page, METRICS: Artifact("Metrics"), **self.artifacts}

    def slots(self, extra: Mapping[str, Artifact] | None = None) -> tuple[dict[str, Slot], dict[str, Slot]]:
        """How the notebook is told of the artifacts that come in and that go out.

        Raises:
            BadInputError: No parameter takes one of them, or a parameter or a port would have two meanings.
        """
        come = {name: one.slot(name, self.signature) for name, one in {**self.inputs, **(extra or {})}.items()}
        go = {name: one.slot(name, self.signature) for name, one in self.artifacts.items()}
        self._check_slots([*come.values(), *go.values()])
        if shadowed := sorted(set(come) & set(self._open_parameters(come, go))):
            raise BadInputError(
                f"{shadowed[0]} of step {self.name} is an artifact and a parameter",
                hint="Give the artifact another name.",
            )
        return come, go

    def _check_slots(self, slots: list[Slot]) -> None:
        places = Counter(slot.parameter or f"${slot.environment}" for slot in slots)
        if twice := [place for place, times in places.items() if times > 1]:
            raise BadInputError(
                f"two artifacts of step {self.name} are to be told by {twice[0]}",
                hint='Name another parameter for one of them: Artifact("Model", parameter="model_path").',
            )
        if taken := [slot.parameter for slot in slots if slot.parameter in self.values]:
            raise BadInputError(
                f"{taken[0]} of step {self.name} has a fixed value, so it cannot be an artifact's place"
            )

    def parameters(self, extra: Mapping[str, Artifact] | None = None) -> dict[str, InputParameter]:
        """The parameters that a pipeline may set: those that are neither fixed nor say where an artifact lies."""
        return self._open_parameters(*self.slots(extra))

    def _open_parameters(self, come: Mapping[str, Slot], go: Mapping[str, Slot]) -> dict[str, InputParameter]:
        taken = {slot.parameter for slot in (*come.values(), *go.values())} | set(self.values)
        return {one.name: input_parameter(one) for one in self.signature.parameters if one.name not in taken}

    def plan(self, extra: Mapping[str, Artifact] | None = None) -> StepSpec:
        """What the step's container has to know."""
        come, go = self.slots(extra)
        texts = tuple(name for name, one in self.parameters(extra).items() if one.text)
        return StepSpec(
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
            retries=self.retries,
        )
