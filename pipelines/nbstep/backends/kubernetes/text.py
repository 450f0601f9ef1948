"""Manifests as text for people and ``kubectl``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from nbstep.profiles.strict_yaml import PlainDumper

_MEANS_MORE: Final = re.compile(r"[yYnN]|[+-]?[.\d][\d_.]*([eE][+-]?\d+)?|[+-]?0[oOxXbB][\da-fA-F_]+")
"""Text that a reader of another YAML than PyYAML's takes for a truth value or a number, such as ``y`` and ``1e3``."""


class _Dumper(PlainDumper):
    """Text is text to whoever reads it, and lines stay lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if _MEANS_MORE.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def as_yaml(*manifests: Mapping[str, Any]) -> str:
    """One or more objects as YAML documents."""
    return yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, width=1000)
