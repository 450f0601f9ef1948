"""Manifests as text: what is text stays text, whoever reads it."""

from __future__ import annotations

from typing import Any

import yaml

from nbstep.backends.kubernetes.text import as_yaml
from support.manifests import TEXTS


def test_it_reads_as_what_was_written() -> None:
    data = {str(number): text for number, text in enumerate(TEXTS)}
    objects: list[dict[str, Any]] = [{"kind": "ConfigMap", "data": data}, {"b": [1, True]}]
    assert list(yaml.safe_load_all(as_yaml(*objects))) == objects
