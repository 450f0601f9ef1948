"""What is told of a notebook that breaks its format: what was repaired, and where, or why it is refused."""

from __future__ import annotations

from typing import Final

from nbstep_runner.errors import BadInputError

SHOWN_PLACES: Final = 5
SHOWN_REPAIRS: Final = 12


class Repairs:
    """What was repaired: each kind of repair with the cells where it was due."""

    def __init__(self) -> None:
        self._cells: dict[str, list[int | None]] = {}

    def note(self, what: str, cell: int | None = None) -> None:
        """Write down a repair of a cell, or of the notebook as a whole."""
        places = self._cells.setdefault(what, [])
        if cell not in places[-1:]:
            places.append(cell)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence that says what was repaired and where; none where nothing was."""
        if not self._cells:
            return ()
        told = [f"{_place(cells)}: {what}" for what, cells in self._cells.items()]
        left_out = [f"and {len(told) - SHOWN_REPAIRS} other repairs"] if len(told) > SHOWN_REPAIRS else []
        return ("the notebook was repaired where it breaks its format: " + "; ".join(told[:SHOWN_REPAIRS] + left_out),)


def _place(cells: list[int | None]) -> str:
    numbers = [str(cell) for cell in cells if cell is not None]
    if not numbers:
        return "the notebook"
    more = f" and {len(numbers) - SHOWN_PLACES} more" if len(numbers) > SHOWN_PLACES else ""
    return f"cell{'s' if len(numbers) > 1 else ''} {', '.join(numbers[:SHOWN_PLACES])}{more}"


def not_valid(cell: int, key: str, reason: str) -> BadInputError:
    """The refusal of a notebook for what a cell holds under a key."""
    return BadInputError(f"the notebook is not valid: cell {cell}, key {key!r}: {reason}")
