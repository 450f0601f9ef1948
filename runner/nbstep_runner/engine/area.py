"""Where output goes: into a cell, or into an output widget that has taken the cell's place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nbstep_runner.engine.messages import Raised
from nbstep_runner.engine.outputs import CellOutputs, OutputBudget, PutAway
from nbstep_runner.masking import Masker, StreamMasker


class OutputArea:
    """Outputs in memory, and the maskers of their streams.

    Args:
        budget: Shared by all areas of a notebook.
        masker: Hides secrets, those too that are split over several messages.
        outputs: What is there already.
        name: An output widget's comm id; empty for a cell.
        put_away: Takes what is too much for memory.
    """

    def __init__(
        self,
        budget: OutputBudget,
        masker: Masker,
        outputs: list[dict[str, Any]] | None = None,
        *,
        name: str = "",
        put_away: PutAway | None = None,
    ) -> None:
        self.name = name
        self.outputs = CellOutputs(budget, outputs, put_away)
        self._masker = masker
        self._streams: dict[str, StreamMasker] = {}

    def stream(self, name: str) -> StreamMasker:
        """The masker of one of the streams."""
        if name not in self._streams:
            self._streams[name] = StreamMasker(self._masker)
        return self._streams[name]

    def refill(self, outputs: Iterable[dict[str, Any]]) -> None:
        """Hold these outputs and no others."""
        self.outputs.clear(wait=False)
        for output in outputs:
            masked = self._masker.mask_value(output)
            if masked["output_type"] == "stream":
                self.outputs.append_text(masked["name"], masked["text"])
            elif masked["output_type"] == "error":
                self.outputs.append(Raised.of(masked).shortened().as_output())
            else:
                self.outputs.append(masked)

    def held_back(self) -> list[tuple[str, str]]:
        """Text by stream that a masker still held, because it might have been the start of a secret."""
        return [(name, text) for name, stream in self._streams.items() if (text := stream.flush())]


class OpenCell(OutputArea):
    """A cell that takes outputs, because it runs or because more came after its end."""

    def __init__(
        self, index: int, cell: dict[str, Any], budget: OutputBudget, masker: Masker, put_away: PutAway
    ) -> None:
        super().__init__(budget, masker, cell["outputs"], put_away=put_away)
        self.index = index
        self.cell = cell

    @property
    def id(self) -> str | None:
        """The cell's nbformat id."""
        return self.cell.get("id")
