"""Where displays with an id stand, so that their updates find them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

Place = int | str
"""Whose outputs: a cell's, by its index, or an output widget's, by its comm id."""


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
