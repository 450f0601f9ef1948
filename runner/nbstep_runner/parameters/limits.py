"""How large a parameters document may be, and how it is refused."""

from __future__ import annotations

from typing import Final

MAX_CELL_CHARACTERS: Final = 2**18
"""Of a parameters cell that is read as the notebook's signature."""
MAX_BYTES: Final = 2**20
MAX_DEPTH: Final = 64
MAX_NODES: Final = 50_000


class RefusedError(Exception):
    """Why a document is not read, in one line; its reader adds which document it was."""


class Budget:
    """The nodes that a document may still have."""

    def __init__(self) -> None:
        self.left = MAX_NODES

    def spend(self, nodes: int) -> None:
        """Count nodes; raises ``RefusedError`` when there are too many."""
        self.left -= nodes
        if self.left < 0:
            raise RefusedError(f"it holds more than {MAX_NODES} values, counting what its aliases repeat")


def check_depth(depth: int) -> None:
    """Raises ``RefusedError`` for a node below the deepest level that is read."""
    if depth > MAX_DEPTH:
        raise RefusedError(f"it is nested more than {MAX_DEPTH} levels deep")
