"""A notebook as a step of a pipeline: what its container has to know besides the values that an engine passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """How a notebook is told where an artifact lies: by a parameter or by an environment variable, never both.

    A parameter whose name ends in ``_uri`` gets an input's URI; every other gets the local path.
    """

    parameter: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """What is fixed when a step is compiled.

    Attributes:
        name: The step's; names its runs.
        digest: ``sha256:…`` of the notebook's bytes, checked before anything runs.
        source: Where the container finds the notebook, a path or URI; ``None`` where it is embedded.
        runs: Under which folder the runner keeps the run, a URI; ``None`` is the container's own disk. In KFP's
            workspace the input ``notebook_runs`` says where that is.
        html: Deliver the executed notebook as HTML too.
        values: Parameters that no pipeline sets, such as references to secrets.
        texts: Parameters without one declared type: their text is read like that of a command line.
        inputs: Artifacts that come in, by name.
        artifacts: Artifacts that the notebook has to leave, by name.
        results: The KFP type of each result that the notebook has to report, such as ``NUMBER_DOUBLE``.
        retries: How often the step itself repeats a run that ended with what may pass.
    """

    name: str
    digest: str
    source: str | None = None
    runs: str | None = None
    html: bool = True
    values: dict[str, Any] = field(default_factory=dict)
    texts: tuple[str, ...] = ()
    inputs: dict[str, Slot] = field(default_factory=dict)
    artifacts: dict[str, Slot] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    retries: int = 0
    schema_version: int = 1
