"""YAML as ``dump_yaml`` writes it."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from nbstep_runner.parameters.plain import EXPONENT_FLOAT

# Line breaks to YAML 1.1, which PyYAML writes as such even where a reader folds them into a space.
_BREAKS: Final = re.compile("[\x85\u2028\u2029]")


class Dumper(yaml.SafeDumper):
    """Quotes text that parameters take for a number, and writes what stands in two places twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        """Whether to write a value again instead of an alias for it: always."""
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        """Text; line breaks beyond ASCII are escaped."""
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if _BREAKS.search(data) else None)


_resolver: Any = Dumper.add_implicit_resolver
_resolver("tag:yaml.org,2002:float", EXPONENT_FLOAT, list("-+0123456789."))
Dumper.add_representer(str, Dumper.text)
