"""The runner's command line says again what the spec says."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbstep.backends.arguments import arguments
from nbstep_runner.cli.command import command
from nbstep_runner.cli.spec import storage_of
from nbstep_runner.contract import Deadlines, RunSpec, StorageOptions

WORD = st.from_regex("[a-z]{1,8}", fullmatch=True) | st.none()
KINDS = {"float": st.integers(0, 999).map(float), "bool": st.booleans(), "str | None": WORD}
STORAGE = st.builds(
    StorageOptions,
    **{field.name: KINDS.get(str(field.type), st.none() | st.booleans()) for field in fields(StorageOptions)},
)


def read(spec: RunSpec) -> dict[str, object]:
    with command.make_context("nbstep-runner", arguments(spec, "spec.json")) as context:
        return dict(context.params)


@given(STORAGE)
def test_storage_options_arrive_as_they_are(storage: StorageOptions) -> None:
    spec = RunSpec(run_id="r", input_uri="i", output_uri="o", storage=storage)
    assert all(isinstance(part, str) for part in arguments(spec, "spec.json"))
    assert storage_of(read(spec)) == storage


@pytest.mark.parametrize("folder", [None, "."])
def test_what_the_early_kernel_needs_arrives(folder: str | None) -> None:
    spec = RunSpec(
        run_id="r",
        input_uri="i",
        output_uri="o",
        kernel="ir",
        stock_kernel=True,
        working_directory=folder,
        deadlines=Deadlines(grace=7.5),
    )
    given = read(spec)
    assert (given["kernel"], given["stock_kernel"], given["cwd"], given["grace_period"]) == ("ir", True, folder, 7.5)
