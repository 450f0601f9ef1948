"""A state folder in each kind of store: saved, tidied, restored, and found damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import open_store
from support.states import Attempt, held

FOLDERS = (
    *("s3_folder", "gateway_folder", "gcs_folder", "web_folder", "apache_folder"),
    *("sftp_folder", "plain_sftp_folder", "tmp_path"),
)
SERVERS = {"sftp_folder": "ssh_server", "plain_sftp_folder": "plain_ssh_server"}
"""Whose keys a folder needs."""


@pytest.mark.fault(60)
@pytest.mark.parametrize("folder", FOLDERS)
def test_what_was_saved_comes_back_and_what_is_older_goes(
    folder: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    root = f"{request.getfixturevalue(folder)}".rstrip("/") + "/runs/a model.state/"
    server = request.getfixturevalue(SERVERS[folder]) if folder in SERVERS else None
    options = StorageOptions(allow_private_addresses=True)
    if server is not None:
        options = replace(options, known_hosts=str(server.known_hosts), identity_file=str(server.identity_file))
    store = open_store(root, options)
    files = {"größe.txt": b"1", "deep/er/model.bin": bytes(5_000_000)}
    first = Attempt(store, tmp_path / "first", root=root)
    for number in range(4):
        first.save(files | {"epoch": b"%d" % number})

    names = sorted(stat.uri.removeprefix(root) for stat in store.list(root))
    assert [name for name in names if name.startswith("generations/")] == [
        "generations/000003.json",
        "generations/000004.json",
    ]
    assert len(names) == 2 + 5  # an epoch each, the text and the two pieces of the model
    assert held(Attempt(store, tmp_path / "second", root=root).folder) == files | {"epoch": b"3"}

    store.write(f"{root}generations/000004.json", b"torn")
    third = Attempt(store, tmp_path / "third", root=root)
    assert held(third.folder) == files | {"epoch": b"2"}
    assert len(third.warnings) == 1
    third.save(files | {"epoch": b"4"})
    assert held(Attempt(store, tmp_path / "fourth", root=root).folder) == files | {"epoch": b"4"}
