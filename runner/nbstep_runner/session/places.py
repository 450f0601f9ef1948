"""Where everything about a run lies: beside its output, with the same stem."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import cached_property

from nbstep_runner.contract import (
    FILES,
    LOG_ENDING,
    OWN_FOLDERS,
    PAGE_ENDING,
    PARTIAL_ENDING,
    RECORD_ENDING,
    STANDARD_STREAM,
    ParameterKind,
    RunSpec,
)
from nbstep_runner.errors import BadInputError
from nbstep_runner.stores import lies_in, redact, same_object, sibling


@dataclass(frozen=True)
class Places:
    """The URIs of a run's objects."""

    output: str
    record: str
    log: str
    html: str
    partial: str
    files: str

    @classmethod
    def of(cls, spec: RunSpec) -> Places:
        """The places that belong to a spec's output."""
        output = spec.output_uri
        return cls(
            output=output,
            record=sibling(output, RECORD_ENDING),
            log=sibling(output, LOG_ENDING),
            html=sibling(output, PAGE_ENDING),
            partial=sibling(output, PARTIAL_ENDING),
            files=sibling(output, FILES),
        )

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The folders in which the run may write, and remove, anything."""
        return tuple(sibling(self.output, ending) for ending in OWN_FOLDERS)

    @cached_property
    def shown(self) -> Places:
        """The same as they may be written down: without credentials."""
        return Places(*map(redact, astuple(self)))


def refuse_own_places(spec: RunSpec, places: Places) -> None:
    """Refuse to read what the run itself would overwrite or remove. Only a notebook may be run in its own place.

    Raises:
        BadInputError: The input, a parameters file or a declared file is, by whatever name, one of the run's own, or
            lies in a folder of its own.
    """
    beside = (places.record, places.log, places.html, places.partial)
    read = [each.uri for each in spec.parameters if each.kind is ParameterKind.FILE]
    read += [each.uri for each in spec.files]
    read += [os.path.join(spec.working_directory or "", each.path) for each in spec.files]  # noqa: PTH118 - text
    pairs = [(spec.input_uri, own) for own in beside]
    pairs += [(uri, own) for uri in read for own in (places.output, *beside)]
    for uri, own in pairs:
        if uri != STANDARD_STREAM and _is_same(uri, own):
            raise _own(f"{redact(uri)} would be read and is written by this run: it lies at {redact(own)}")
    for uri in (spec.input_uri, *read):
        for folder in places.folders:
            if uri != STANDARD_STREAM and _lies_in(uri, folder):
                raise _own(f"{redact(uri)} would be read and is removed by this run: it lies in {redact(folder)}")


def refuse_own_place(spec: RunSpec, path: str) -> None:
    """Refuse to write a further file over the run's input, its output or what lies beside it.

    Raises:
        BadInputError: It would.
    """
    places = None if spec.output_uri == STANDARD_STREAM else Places.of(spec)
    for uri in (spec.input_uri, *(astuple(places) if places else ())):
        if uri != STANDARD_STREAM and _is_same(path, uri):
            raise BadInputError(f"{path} would be written over {redact(uri)}", hint="Choose another file.")
    for folder in places.folders if places else ():
        if _lies_in(path, folder):
            raise BadInputError(f"{path} lies in {redact(folder)}, which is the run's own", hint="Choose another file.")


def _own(problem: str) -> BadInputError:
    return BadInputError(problem, hint="Choose another output, or copy the file to another name first.")


def _lies_in(uri: str, folder: str) -> bool:
    with suppress(BadInputError):  # as below
        return lies_in(uri, folder)
    return False


def _is_same(uri: str, own: str) -> bool:
    with suppress(BadInputError):  # a name that is refused: told by who uses it
        return same_object(uri, own)
    return False
