"""Where notebooks, parameters and records live: one protocol, a backend a scheme, each imported when it is used."""

from nbstep_runner.stores.atomicfile import write_file
from nbstep_runner.stores.content import checksum
from nbstep_runner.stores.protocol import ABSENT, Blob, Source, Stat, Store
from nbstep_runner.stores.registry import (
    SchemeInfo,
    check_name,
    check_output,
    describe,
    lies_in,
    local_path,
    open_store,
    same_object,
)
from nbstep_runner.stores.retrying import hurry
from nbstep_runner.stores.uris import below, is_remote, join, link_below, name_of, redact, sibling

__all__ = [
    "ABSENT",
    "Blob",
    "SchemeInfo",
    "Source",
    "Stat",
    "Store",
    "below",
    "check_name",
    "check_output",
    "checksum",
    "describe",
    "hurry",
    "is_remote",
    "join",
    "lies_in",
    "link_below",
    "local_path",
    "name_of",
    "open_store",
    "redact",
    "same_object",
    "sibling",
    "write_file",
]
