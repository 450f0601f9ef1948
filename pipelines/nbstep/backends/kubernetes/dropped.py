"""What a cluster left out of an object that it was asked to make: fields that it does not know, or has switched off.

An API server says nothing of them; only its answer tells. It may hold more than was sent (defaults, what the cluster's
own rules add), and may write a quantity in another way. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nbstep.profiles.quantities import quantity
from nbstep_runner.errors import UsageError


def dropped(sent: Any, kept: Any, path: str = "") -> Iterator[str]:
    """The paths of what was sent and is not in the answer, such as ``spec.template.spec.volumes[model].image``.

    An item of a list is looked for under its own ``name``, else at its place. What is empty says nothing, and may go.

    Args:
        sent: The object as it was sent, or a part of it.
        kept: The same part of the answer.
        path: Where in the object the part is.
    """
    if sent in (None, "", [], {}) and kept is None:
        return
    match sent, kept:
        case Mapping(), Mapping():
            for key, value in sent.items():
                yield from dropped(value, kept.get(key), f"{path}.{key}" if path else key)
        case list() | tuple(), list() | tuple():
            for number, item in enumerate(sent):
                name = item.get("name", number) if isinstance(item, Mapping) else number
                yield from dropped(item, _counterpart(item, number, kept), f"{path}[{name}]")
        case _ if not _same(sent, kept):
            yield path


def _counterpart(item: Any, number: int, kept: Sequence[Any]) -> Any:
    if isinstance(item, Mapping) and "name" in item:
        return next((each for each in kept if isinstance(each, Mapping) and each.get("name") == item["name"]), None)
    return kept[number] if number < len(kept) else None


def _same(sent: Any, kept: Any) -> bool:
    if sent == kept and type(sent) is type(kept):
        return True
    try:
        return isinstance(kept, str) and quantity(sent) == quantity(kept)
    except UsageError:
        return False
