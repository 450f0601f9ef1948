"""For tests of your own: an in-memory store, the contract that every store keeps, and stores that fail on purpose."""

from nbstep_runner.stores.memory import MemorySpace, MemoryStore

__all__ = ["MemorySpace", "MemoryStore"]
