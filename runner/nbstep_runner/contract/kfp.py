"""Kubeflow Pipelines as both sides of a step know it: names, types, and what becomes of a value on its way.

A value that a pipeline passes on is a protocol buffer, whose numbers are doubles, and then text inside of templates:
Argo replaces its variables (``{{workflow.name}}``) and expressions (``{{=1+1}}``), KFP its placeholders
(``{{$.inputs.…}}``), and Kubernetes references to variables in a container's arguments (``$(NAME)``; ``$$`` is ``$``).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, Final

NOTEBOOK: Final = "notebook"
HTML: Final = "html"
METRICS: Final = "metrics"
"""The artifacts that every step has, by name."""
DIGEST_INPUT: Final = "notebook_digest"
"""The input that names the notebook, so that a changed one is other work to KFP's cache."""
WORKSPACE: Final = "{{$.workspace_path}}"
"""What KFP replaces in a constant by the folder that all steps of one run of a pipeline share."""
RUNS_INPUT: Final = "notebook_runs"
"""The input that names the folder of a step's runs, if that is in the workspace: KFP mounts it for an input's sake."""

KFP_TYPES: Final[dict[str, type]] = {
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": float,
    "BOOLEAN": bool,
    "STRING": str,
    "LIST": list,
    "STRUCT": dict,
}
"""The types of parameters, and what they are in Python."""

EXACT: Final = 2**53
"""Beyond this, doubles are no longer every whole number."""
_LAST_OF_UTF8MB3: Final = "\uffff"

_REPLACED: Final = re.compile(
    r"\{\{\s*(?:[=$]|(?:cronworkflow|inputs|item|lastRetry|node|outputs|pod|retries|steps|tasks|workflow)(?:\.|\s*\}\}))"
    r"|\$\$|\$\([A-Z_][A-Z0-9_]*\)"
)
"""Where a replaced text begins. Argo leaves other tags alone: ``{{name}}`` of another template language passes."""
_MEANT: Final = re.compile(r"\{\{\$\.pipeline_(job|task)_[a-z_]+\}\}")
"""KFP's placeholders for values of the run, which its SDK has constants for: replaced where they are a whole text."""


def is_of_kfp_type(value: Any, kind: str) -> bool:
    """Whether a value is of one of :data:`KFP_TYPES`; a whole number is a float too, and a bool is no number."""
    python = KFP_TYPES[kind]
    if isinstance(value, bool):
        return python is bool
    return isinstance(value, int | float if python is float else python)


def whole(value: Any) -> Any:
    """A value that KFP has carried, with 1.0 as 1 again: KFP has one type of number."""
    match value:
        case float() if value.is_integer() and abs(value) < EXACT:
            return int(value)
        case list():
            return [whole(item) for item in value]
        case dict():
            return {key: whole(item) for key, item in value.items()}
    return value


def structure_in(text: str) -> list[Any] | dict[str, Any] | None:
    """The list or mapping that a text is in JSON, as which the runner takes it; ``None`` where it is neither."""
    if text[:1] not in {"[", "{"}:
        return None
    try:
        found: list[Any] | dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found


def lost_on_the_way(value: Any) -> str:
    """What inside of a value would not arrive as what it is, and why; empty where all of it arrives.

    >>> lost_on_the_way([1, float("nan")])
    'a number that KFP does not carry: NaN'
    """
    if isinstance(value, str):  # KFP replaces its own placeholders in no list and no mapping
        value = "" if _MEANT.fullmatch(value) else value.replace(WORKSPACE, "")
    return next((lost for leaf in _leaves(value) if (lost := _lost(leaf))), "")


def beyond_utf8mb3(value: Any) -> bool:
    """Whether a text inside has characters beyond U+FFFF, such as emoji: KFP's connection to its database has none."""
    return any(isinstance(leaf, str) and leaf > "" and max(leaf) > _LAST_OF_UTF8MB3 for leaf in _leaves(value))


def _lost(leaf: Any) -> str:
    match leaf:
        case bool():
            return ""
        case int() if abs(leaf) > EXACT:
            return "a number that KFP does not carry: beyond 2**53"
        case float() if not math.isfinite(leaf):
            return f"a number that KFP does not carry: {'NaN' if math.isnan(leaf) else 'infinite'}"
        case str() if found := _REPLACED.search(leaf):
            by = "Kubernetes" if leaf[found.start()] == "$" else "Argo"
            return f"the text {leaf[found.start() :][:40]!r}, which {by} replaces"
        case str() if any("\ud800" <= one <= "\udfff" for one in leaf):
            return "half a character (a lone surrogate), which no text can hold"
    return ""


def _leaves(value: Any) -> Iterator[Any]:
    """Everything inside that is no list or mapping, the keys of mappings too."""
    match value:
        case list() | tuple():
            for item in value:
                yield from _leaves(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from _leaves(item)
        case _:
            yield value
