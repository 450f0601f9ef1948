"""What a request for a run says, and what it is called by: checked before anything is read or started."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from nbstep.backends.protocol import checked_run_id
from nbstep.profiles.schema import ClosedSchema
from nbstep.server.folders import RunFolder
from nbstep.server.problems import usage
from nbstep_runner.contract import ParameterSource
from nbstep_runner.nonfinite import read

_KEY: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


class Again(ClosedSchema, frozen=True):
    """What a run is run again with.

    Attributes:
        parameters: Over those that it had.
        profile: One of the folder's; its first if left out.
        overrides: Fields of the profile that it opens, such as ``{"resources": {"memory": "8Gi"}}``.
        run_id: Names the new run; made of the earlier one's and the time if left out.
    """

    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    profile: str | None = None
    overrides: dict[str, Any] = msgspec.field(default_factory=dict)
    run_id: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class Asked(Again, frozen=True):
    """A run that is asked for.

    Attributes:
        notebook: A URI or a path below one of the server's places; left out where a notebook is uploaded.
        run_id: Names the run; made of the notebook's name and the time if left out.
        html: Whether the executed notebook is written as a page too.
    """

    notebook: str = ""
    html: bool = True


def check_one_notebook(asked: Asked, uploaded: Path | None) -> None:
    """Whether a request has one notebook.

    Raises:
        Problem: It has none, or two.
    """
    if (uploaded is None) == (not asked.notebook):
        raise usage("a notebook is either named, by `notebook`, or uploaded, as a form")


def run_id_of_key(caller: str, folder: str, key: str) -> str:
    """The id that a caller's key is there: the same for the same three, and for no others."""
    return f"key-{hashlib.sha256(msgspec.json.encode([caller, folder, key])).hexdigest()[:40]}"


def named_by(caller: str, folder: RunFolder, key: str | None, asked: Again) -> str | None:
    """The id that a request gives its run, itself or by its key.

    Raises:
        Problem: It gives both, or one that is none.
    """
    if key is None:
        return None if asked.run_id is None else checked_run_id(asked.run_id)
    if asked.run_id is not None:
        raise usage("a request has an Idempotency-Key or a run_id, not both")
    if not _KEY.fullmatch(key):
        raise usage("the Idempotency-Key is none", hint="Use up to 255 visible characters, such as a UUID.")
    return run_id_of_key(caller, folder.name, key)


def check_labels(asked: Again) -> None:
    """Whether a request may set its labels: the others are the server's.

    Raises:
        Problem: It may not.
    """
    for label in asked.labels:
        if not _LABEL.fullmatch(label):
            raise usage(f"the label {label[:80]!r} is none that a request may set", hint="Use a name without '/'.")


def sources_of(asked: Again) -> tuple[ParameterSource, ...]:
    """The parameters that a request gives."""
    return (ParameterSource.values(given(asked.parameters)),) if asked.parameters else ()


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Values by the names of parameters, with numbers that JSON cannot write; a name is one, whatever it is."""
    return {name: read(value) for name, value in values.items()}


def digest_of(file: Path | None) -> str:
    """What a notebook that was uploaded is known by; empty without one."""
    return "" if file is None else hashlib.sha256(file.read_bytes()).hexdigest()
