"""For tests of your own: an in-memory store and stores that fail on purpose.

The contract that every store keeps is in :mod:`nbstep_runner.testing.contract`, which needs pytest.
"""

from nbstep_runner.stores.memory import Habit, MemorySpace, MemoryStore
from nbstep_runner.testing.faults import Call, Fault, FaultyStore

__all__ = ["Call", "Fault", "FaultyStore", "Habit", "MemorySpace", "MemoryStore"]
