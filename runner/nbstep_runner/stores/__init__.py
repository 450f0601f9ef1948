"""Where notebooks, parameters and records live: one protocol, a backend a scheme, each imported when it is used."""

from nbstep_runner.stores.protocol import ABSENT, Blob, Source, Stat, Store

__all__ = ["ABSENT", "Blob", "Source", "Stat", "Store"]
