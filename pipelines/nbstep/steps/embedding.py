"""A notebook inside its component: without outputs, compressed, under its digest, within the engine's limit."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nbstep_runner.errors import BadInputError
from nbstep_runner.stores import checksum

LIMIT: Final = 96 * 2**10
"""Characters of an embedded notebook: with them alone a pipeline of one step is as large as Argo can store."""
WAY_OUT: Final = (
    "Let the container read the notebook instead of carrying it: runs='gs://bucket/runs' or "
    "upload_to='gs://bucket/folder' stores it when the step is compiled, source='/in/the/image' names it."
)
_ANY_SYSTEM: Final = b"\xff"
"""What gzip's header says of the system (RFC 1952: unknown); what Python writes there depends on its version."""


@dataclass(frozen=True, slots=True)
class Source:
    """A notebook as it is run: the same bytes for the same content, whatever its last outputs were."""

    data: bytes

    @property
    def digest(self) -> str:
        """``sha256:…`` of the bytes."""
        return checksum(self.data)

    def embedded(self) -> str:
        """Base64 of the gzipped bytes: the same text on every machine, and no character that an engine changes.

        Raises:
            BadInputError: It is longer than what an engine can pass.
        """
        bare = gzip.compress(self.data, compresslevel=9, mtime=0)
        packed = base64.b64encode(bare[:9] + _ANY_SYSTEM + bare[10:]).decode()
        if len(packed) > LIMIT:
            raise BadInputError(
                f"the notebook takes {len(packed)} characters in its component; {LIMIT} is the most", hint=WAY_OUT
            )
        return packed


def without_outputs(notebook: Mapping[str, Any]) -> Source:
    """The notebook that a step runs: outputs and execution counts change nothing about a run, so they are left out."""
    cells = [_cleared(cell) for cell in notebook["cells"]]
    text = json.dumps({**notebook, "cells": cells}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return Source(text.encode())


def _cleared(cell: Mapping[str, Any]) -> dict[str, Any]:
    if cell.get("cell_type") != "code":
        return dict(cell)
    return {**cell, "outputs": [], "execution_count": None}
