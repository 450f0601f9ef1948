"""The JSON of the contract: written and read by msgspec."""

from __future__ import annotations

import hashlib
from threading import Lock
from typing import Any, Final, TypeVar

import msgspec

from nbstep_runner.contract.needs import lasting
from nbstep_runner.contract.result import RunResult
from nbstep_runner.contract.spec import RunSpec
from nbstep_runner.errors import BadInputError
from nbstep_runner.nonfinite import written

T = TypeVar("T")

_LEARNING: Final = Lock()
_DECODERS: Final[dict[type, msgspec.json.Decoder[Any]]] = {}


def encode(value: Any, *, indent: int | None = None) -> bytes:
    """JSON of any contract type, keys in the order of declaration; ``indent`` spaces a level for people.

    Results may be numbers that JSON cannot write (:mod:`nbstep_runner.nonfinite`).
    """
    record = value if isinstance(value, RunResult) else getattr(value, "result", None)
    held = record.results if isinstance(record, RunResult) else {}
    data = msgspec.json.encode(value if written(held) == held else written(msgspec.to_builtins(value)))
    return data if indent is None else msgspec.json.format(data, indent=indent)


def decode(data: bytes, kind: type[T]) -> T:
    """A contract type from its JSON; fields that this version does not know are passed over.

    Raises:
        BadInputError: The bytes are not JSON, or not of that type.
    """
    try:
        return _decoder(kind).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInputError(f"not a valid {kind.__name__}: {error}") from error


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    """The type's decoder, made once by one thread: msgspec crashes where two learn the same dataclass at once."""
    with _LEARNING:
        if kind not in _DECODERS:
            _DECODERS[kind] = msgspec.json.Decoder(kind)
        return _DECODERS[kind]


def spec_digest(spec: RunSpec, input_digest: str, parameters_digest: str) -> str:
    """Names the work: ``sha256:…`` of the spec without its attempt, ``force`` and ``resume``, and of what it reads.

    A field that came after 0.1 counts only where it is not at its default, so that an upgrade changes no digest.
    ``input_digest`` and ``parameters_digest`` are digests of the notebook's bytes and of the resolved parameters.
    """
    work = lasting(spec)
    for key in ("attempt", "force", "resume", "needs", "schema_version"):
        work.pop(key, None)
    canonical = msgspec.json.encode([work, input_digest, parameters_digest], order="sorted")
    return f"sha256:{hashlib.sha256(canonical).hexdigest()}"
