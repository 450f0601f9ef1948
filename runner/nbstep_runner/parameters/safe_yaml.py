"""Parameters as YAML or JSON text, read safely and within limits."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from typing import Any

from nbstep_runner.errors import BadInputError
from nbstep_runner.parameters.limits import MAX_BYTES, MAX_DEPTH, Budget, RefusedError, check_depth
from nbstep_runner.parameters.plain import Plain


def load_yaml(data: bytes, *, where: str) -> dict[str, Any]:
    """The mapping of names to values that a YAML or JSON document holds; an empty document holds none.

    Values are lists, mappings, quoted text and ``Plain`` scalars: at most 1 MiB of source, 64 levels and 50,000 nodes,
    where an alias counts for all that it repeats. The same key twice is an error, and so is every tag beyond YAML's
    plain types.

    Args:
        data: The document's bytes.
        where: What is read, for messages, such as ``params.yaml``.

    Raises:
        BadInputError: It is not such a document; the message is one line.
    """
    document = load_document(data, where=where)
    if isinstance(document, Plain) and document.value is None:
        return {}
    if not isinstance(document, dict):
        kind = "a list" if isinstance(document, list) else "a single value"
        raise BadInputError(f"{where} holds {kind}, not parameters", hint="Write `name: value`, one a line.")
    return {key.text if isinstance(key, Plain) else str(key): value for key, value in document.items()}


def load_document(data: bytes, *, where: str) -> Any:
    """What a document holds, of any shape; ``Plain("")`` where it is empty. Limits and errors as ``load_yaml``."""
    try:
        return _read(_text(data))
    except RefusedError as error:
        raise BadInputError(f"{where} cannot be read: {error}") from None


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise RefusedError(f"it is larger than {MAX_BYTES} bytes")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise RefusedError("it is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(f"it is not UTF-8 text (byte {error.start})") from None


def _read(text: str) -> Any:
    if text.lstrip()[:1] in ("{", "["):
        try:
            return read_json(text)
        except ValueError:  # YAML's flow style looks like JSON
            pass
    from nbstep_runner.parameters.yaml_document import read_yaml

    return read_yaml(text)


def read_json(text: str) -> Any:
    """What a JSON text holds; numbers, ``true``, ``false`` and ``null`` are ``Plain``, as they are in YAML.

    Raises:
        RefusedError: It is too deep or too large, or has a key twice.
        ValueError: It is not JSON.
    """
    number = _counted_numbers()
    try:
        found = json.loads(text, object_pairs_hook=_mapping, parse_int=number, parse_float=number, parse_constant=float)
    except RecursionError:
        raise RefusedError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    return _limited(found, Budget(), depth=0)


def _counted_numbers() -> Callable[[str], Plain]:
    """Makes ``Plain`` numbers, at most as many as a document may hold: a flood of them ends while it is being read."""
    budget = Budget()

    def number(text: str) -> Plain:
        budget.spend(1)
        return Plain(text)

    return number


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RefusedError(f"the key {key[:60]!r} stands twice in one mapping")
        found[key] = value
    return found


def _limited(value: Any, budget: Budget, depth: int) -> Any:
    budget.spend(1)
    check_depth(depth)
    if isinstance(value, dict):
        return {key: _limited(item, budget, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_limited(item, budget, depth + 1) for item in value]
    return Plain(json.dumps(value)) if value is None or isinstance(value, bool) else value
