"""Where output goes, into a cell or an output widget in its place; and where displays with an id stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from nbstep_runner.engine.messages import Raised
from nbstep_runner.engine.outputs import CellOutputs, OutputBudget, PutAway
from nbstep_runner.masking import Masker, StreamMasker

Place = int | str
"""Whose outputs: a cell's, by its index, or an output widget's, by its comm id."""


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


@dataclass(slots=True)
class Update:
    """What all displays of an id show from now on.

    Attributes:
        size: About how many bytes it takes.
        told: The listeners know of it, because the limits keep it out of one of them.
    """

    display_id: str
    output: dict[str, Any]
    size: int
    told: bool = False


class Displays:
    """The positions at which each id is shown, and the updates that cells do not show yet.

    Those wait until more comes for such a cell, or the notebook is looked at: of many, only the last is of any use.

    Attributes:
        waiting_bytes: About what has begun to wait since none did.
    """

    def __init__(self) -> None:
        self._positions: dict[str, dict[Place, dict[int, None]]] = {}
        self._ids: dict[tuple[Place, int], str] = {}
        self._waiting: dict[int, dict[str, Update]] = {}
        self.waiting_bytes = 0

    def note(self, place: Place, position: int, display_id: str | None) -> None:
        """What is at a position now; what an id named there before has been cleared away."""
        if (before := self._ids.pop((place, position), None)) is not None:
            places = self._positions[before]
            del places[place][position]
            if not places[place]:
                del places[place]
            if not places:
                del self._positions[before]
        if display_id is not None:
            self._ids[place, position] = display_id
            self._positions.setdefault(display_id, {}).setdefault(place, {})[position] = None

    def places(self, display_id: str | None) -> Collection[Place]:
        """Who shows an id; empty for none."""
        return () if display_id is None else self._positions.get(display_id, {}).keys()

    def positions(self, display_id: str, place: Place) -> Collection[int]:
        """Where an id is shown there."""
        return self._positions.get(display_id, {}).get(place, {}).keys()

    def defer(self, indices: Iterable[int], update: Update) -> None:
        """Keep an update for cells, in place of an earlier one."""
        for index in indices:
            self._waiting.setdefault(index, {})[update.display_id] = update
        self.waiting_bytes += update.size

    def deferred(self) -> Collection[int]:
        """The cells for which updates wait."""
        return tuple(self._waiting)

    def take(self, index: int) -> Collection[Update]:
        """The updates that have waited for a cell."""
        if index not in self._waiting:
            return ()
        taken = self._waiting.pop(index).values()
        if not self._waiting:
            self.waiting_bytes = 0
        return taken
