"""The notebook of a step: embedded in its component or found in storage, and always the one that was compiled."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import zlib
from typing import Final

from nbstep_runner.contract import StepSpec, StorageOptions
from nbstep_runner.errors import BadInputError
from nbstep_runner.stores import checksum, open_store

MAX_BYTES: Final = 64 * 2**20
"""An embedded notebook is at most 96 KiB of compressed text: what unpacks to more is not one of ours."""


def step_notebook(plan: StepSpec, embedded: str | None, storage: StorageOptions) -> bytes:
    """The notebook's bytes.

    Args:
        plan: Says where it is, and its digest.
        embedded: Base64 of its gzip, where the component carries it.
        storage: How its place is reached, where it does not.

    Raises:
        BadInputError: It is missing, damaged, or not the notebook that the step was compiled from.
        InputNotFoundError, StorageDeniedError, StorageUnavailableError: It cannot be read.
    """
    data = _unpacked(embedded) if embedded else _fetched(plan, storage)
    digest = checksum(data)
    if digest != plan.digest:
        raise BadInputError(
            f"the notebook of step {plan.name} is not the one that was compiled: it has the digest {digest}",
            hint="Compile the pipeline again, or restore the notebook that it was compiled from.",
        )
    return data


def _unpacked(embedded: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(base64.b64decode(embedded, validate=True))) as packed:
            data = packed.read(MAX_BYTES + 1)
    except (binascii.Error, OSError, EOFError, zlib.error) as error:
        raise BadInputError(f"the embedded notebook is damaged: {error}", hint="Compile the pipeline again.") from error
    if len(data) > MAX_BYTES:
        raise BadInputError("the embedded notebook is larger than 64 MiB", hint="Compile the pipeline again.")
    return data


def _fetched(plan: StepSpec, storage: StorageOptions) -> bytes:
    if not plan.source:
        raise BadInputError("the component carries no notebook and names none", hint="Compile the pipeline again.")
    return open_store(plan.source, storage).read(plan.source).data
