from __future__ import annotations

from pathlib import Path

import pytest

from nbstep.views.links import link_to


@pytest.mark.parametrize(
    ("uri", "link"),
    [
        ("gs://b/a b/out.ipynb", "https://console.cloud.google.com/storage/browser/_details/b/a%20b/out.ipynb"),
        ("s3://b/a/out.ipynb", "https://console.aws.amazon.com/s3/object/b?prefix=a/out.ipynb"),
        ("https://host/out.ipynb", "https://host/out.ipynb"),
        ("gs://b", None),
        ("sftp://host/out.ipynb", None),
    ],
)
def test_a_place_leads_to_a_page_where_one_is_known(uri: str, link: str | None) -> None:
    assert link_to(uri) == link


def test_a_path_leads_to_its_file(tmp_path: Path) -> None:
    assert link_to(str(tmp_path / "a b.ipynb")) == f"file://{tmp_path}/a%20b.ipynb"
