"""Where everything about a run lies: beside its output, with the same stem."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from nbstep_runner.contract import RunSpec
from nbstep_runner.stores import redact, sibling

STANDARD_STREAM = "-"


@dataclass(frozen=True, slots=True)
class Places:
    """The URIs of a run's objects."""

    output: str
    record: str
    log: str
    html: str
    partial: str

    @classmethod
    def of(cls, spec: RunSpec) -> Places:
        """The places that belong to a spec's output."""
        output = spec.output_uri
        return cls(
            output=output,
            record=sibling(output, ".result.json"),
            log=sibling(output, ".log.jsonl"),
            html=sibling(output, ".html"),
            partial=sibling(output, ".partial.ipynb"),
        )

    @property
    def shown(self) -> Places:
        """The same as they may be written down: without credentials."""
        return Places(*map(redact, astuple(self)))
