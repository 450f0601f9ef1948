"""A notebook inside its component: without outputs, compressed, under its digest, within the engine's limit."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from nbstep_runner.errors import BadInputError

LIMIT: Final = 96 * 2**10
"""Characters of an embedded notebook. Linux allows 128 KiB for one argument (MAX_ARG_STRLEN of execve(2)), and KFP's
driver gets a whole container, the notebook and all else, as one."""


@dataclass(frozen=True, slots=True)
class Source:
    """A notebook as it is run: the same bytes for the same content, whatever its last outputs were."""

    data: bytes

    @property
    def digest(self) -> str:
        """``sha256:…`` of the bytes."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    def embedded(self) -> str:
        """Base64 of the gzipped bytes.

        Raises:
            BadInputError: It is longer than what an engine can pass.
        """
        packed = base64.b64encode(gzip.compress(self.data, compresslevel=9, mtime=0)).decode()
        if len(packed) > LIMIT:
            raise BadInputError(
                f"the notebook takes {len(packed)} characters in its component; {LIMIT} is the most",
                hint="Name a place that the container reads: upload_to='gs://bucket/folder' or source='/in/the/image'.",
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
