"""From the command line's values to a :class:`RunSpec`."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Final

from nbstep_runner.cli.cell_options import cell_fields
from nbstep_runner.cli.options import NEXT_ATTEMPT
from nbstep_runner.contract import (
    Deadlines,
    OutputLimits,
    ParameterSource,
    RunSpec,
    StorageOptions,
    UnknownParameters,
    decode,
    encode,
)
from nbstep_runner.errors import BadInputError, UsageError
from nbstep_runner.session.earlier import next_attempt
from nbstep_runner.session.stores import StoreSource
from nbstep_runner.stores import open_store, redact


def spec_of(input_uri: str, output_uri: str, params: str | None, options: dict[str, Any]) -> RunSpec:
    """The run that a command line asks for.

    Raises:
        BadInputError: A base64 parameter is not base64 of text.
        StorageDeniedError, StorageUnavailableError: The record that tells the attempt cannot be read.
        UsageError: An argument is not UTF-8, so no record could say it, or two exclude each other.
    """
    if options["force"] and options["resume"]:
        raise UsageError("--force begins anew and --resume goes on", hint="Give one of them.")
    spec = _spec_of(input_uri, output_uri, params, options)
    try:
        encode(spec)
    except UnicodeEncodeError:
        raise UsageError("an argument is not UTF-8 text", hint="Write it in UTF-8, and name files so.") from None
    return next_attempt(spec, StoreSource(spec.storage)) if options["attempt"] == NEXT_ATTEMPT else spec


def _spec_of(input_uri: str, output_uri: str, params: str | None, options: dict[str, Any]) -> RunSpec:
    return RunSpec(
        run_id=options["run_id"] or new_run_id(),
        attempt=options["attempt"] or 1,
        input_uri=input_uri,
        output_uri=output_uri,
        parameters=tuple(parameter_sources(input_uri, output_uri, params, options)),
        collect=options["collect"],
        unknown_parameters=UnknownParameters(options["unknown_parameters"]),
        kernel=options["kernel"],
        language=options["language"],
        working_directory=options["cwd"],
        deadlines=Deadlines(
            run=options["run_timeout"],
            cell=options["execution_timeout"],
            stall=options["stall_timeout"],
            start=options["start_timeout"],
            shutdown=options["shutdown_timeout"],
            grace=options["grace_period"],
        ),
        limits=OutputLimits(
            text_bytes=options["text_output_limit"],
            cell_bytes=options["cell_output_limit"],
            notebook_bytes=options["notebook_output_limit"],
            state_bytes=options["state_limit"],
        ),
        storage=storage_of(options),
        checkpoint_seconds=options["autosave_cell_every"],
        labels=dict(options["labels"]),
        **({name: options[name] for name in FLAGS} | cell_fields(options)),
    )


def storage_of(options: dict[str, Any]) -> StorageOptions:
    """The storage options of a command line."""
    return StorageOptions(**{field.name: options[field.name] for field in fields(StorageOptions)})


def read_spec(uri: str, options: dict[str, Any]) -> RunSpec:
    """The run that a file describes, as its next attempt: whoever starts it again does not know which that is.

    Each start of an endpoint is a run of its own, in a folder of its own beside the output that the spec names, so that
    replicas and restarts never meet.

    Raises:
        BadInputError: It is not a spec.
        InputNotFoundError, StorageDeniedError, StorageUnavailableError: It cannot be read.
    """
    spec = decode(open_store(uri, storage_of(options)).read(uri).data, RunSpec)
    if spec.serving is None:
        return next_attempt(spec, StoreSource(spec.storage))
    run_id = f"{spec.run_id}-{new_run_id()}"
    folder, _, name = spec.output_uri.rpartition("/")
    return replace(spec, run_id=run_id, output_uri=f"{folder}/{run_id}/{name}")


FLAGS: Final = tuple(field.name for field in fields(RunSpec) if isinstance(field.default, bool))
"""The fields of a spec that are options of the same name, on or off."""


def parameter_sources(
    input_uri: str, output_uri: str, params: str | None, options: dict[str, Any]
) -> list[ParameterSource]:
    """The sources in papermill's order, each winning over the ones before it.

    Paths, then base64, files (the positional one first), YAML, typed and raw values.
    """
    paths = _paths(input_uri, output_uri, options)
    files = ((params,) if params else ()) + tuple(options["parameters_file"])
    return [
        *([ParameterSource.values(paths)] if paths else []),
        *(ParameterSource.yaml(_decoded(text)) for text in options["parameters_base64"]),
        *(ParameterSource.file(uri) for uri in files),
        *(ParameterSource.yaml(text) for text in options["parameters_yaml"]),
        *(ParameterSource.typed(name, text) for name, text in options["parameters"]),
        *(ParameterSource.raw(name, text) for name, text in options["parameters_raw"]),
    ]


def new_run_id() -> str:
    """A name for a run: sortable by time, unlikely to be anybody else's."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def _paths(input_uri: str, output_uri: str, options: dict[str, Any]) -> dict[str, str]:
    """As they may be shown: they stand in the injected cell, the record and the page."""
    both = options["inject_paths"]
    return {
        **({"PAPERMILL_INPUT_PATH": redact(input_uri)} if both or options["inject_input_path"] else {}),
        **({"PAPERMILL_OUTPUT_PATH": redact(output_uri)} if both or options["inject_output_path"] else {}),
    }


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadInputError(f"a base64 parameter cannot be decoded: {error}") from error
