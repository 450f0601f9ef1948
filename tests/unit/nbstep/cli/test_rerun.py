"""From where a run that was not submitted is made again."""

from __future__ import annotations

import pytest

from nbstep.cli.rerun import _read_from
from support.records import run_record


@pytest.mark.parametrize(
    ("written", "output", "read"),
    [
        ("out.ipynb", "/project/out.ipynb", ("in.ipynb", "/project")),
        ("runs/out.ipynb", "/project/runs/out.ipynb", ("in.ipynb", "/project")),
        ("out.ipynb", "/out.ipynb", ("in.ipynb", "/")),
        ("/project/out.ipynb", "/project/out.ipynb", (None, None)),
        ("s3://b/out.ipynb", "s3://b/out.ipynb", (None, None)),
    ],
)
def test_paths_count_from_the_folder_of_the_first_run(
    written: str, output: str, read: tuple[str | None, str | None]
) -> None:
    assert _read_from(run_record(input_uri="in.ipynb", output_uri=written), output) == read
