"""``nbstep-runner https://… OUTPUT``: input from any server, and only from where it may come."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import open_store
from servers.nginx import NginxServer
from servers.runner_on_store import CELLS, Remote, RunnerOnStore
from support import notebooks
from support.runs import command

pytestmark = pytest.mark.slow


class TestWebDav(RunnerOnStore):
    @pytest.fixture
    def remote(self, web_folder: str) -> Remote:
        store = open_store(web_folder, StorageOptions(allow_private_addresses=True))
        return Remote(web_folder, store, flags=("--allow-private-addresses",))


class TestApache(RunnerOnStore):
    @pytest.fixture
    def remote(self, apache_folder: str) -> Remote:
        store = open_store(apache_folder, StorageOptions(allow_private_addresses=True))
        return Remote(apache_folder, store, flags=("--allow-private-addresses",))

    @pytest.mark.fault(66)
    def test_the_record_says_what_its_store_promised(self, remote: Remote, tmp_path: Path) -> None:
        remote.put(CELLS)
        assert remote.run(tmp_path).code == 0
        record = remote.record()
        assert record["store"] == {"atomic_replace": False, "conditional_write": False, "verified": True}
        assert any("no conditional writes" in warning for warning in record["warnings"])


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("https://bucket.s3.amazonaws.com/out.ipynb?X-Amz-Signature=s3cret-sign", 65, b"signed for one object"),
        ("ftp://user:s3cret-word@host/out.ipynb", 65, b"ftp:// is not served"),
    ],
    ids=["signed", "ftp"],
)
def test_an_output_that_could_keep_no_run_is_refused(tmp_path: Path, output: str, code: int, said: bytes) -> None:
    notebooks.write(tmp_path / "in.ipynb", CELLS)
    done = command("in.ipynb", output, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert b"Ada has" not in done.stdout
    assert b"s3cret" not in done.stdout + done.stderr
    assert b"Traceback" not in done.stdout + done.stderr


def test_an_empty_output_is_an_error(tmp_path: Path) -> None:
    notebooks.write(tmp_path / "in.ipynb", CELLS)
    done = command("in.ipynb", "", cwd=tmp_path)
    assert done.returncode == 2
    assert b"Argument 'OUTPUT' is empty." in done.stderr
    assert b"Traceback" not in done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.ipynb"]


def test_a_path_longer_than_the_system_takes_is_bad_input(tmp_path: Path) -> None:
    notebooks.write(tmp_path / "in.ipynb", CELLS)
    for output in ("x" * 300 + ".ipynb", "/".join(["folder"] * 1000) + "/out.ipynb"):
        done = command("in.ipynb", output, cwd=tmp_path)
        assert done.returncode == 65
        assert b"Traceback" not in done.stdout + done.stderr


@pytest.mark.fault(37)
def test_a_private_address_is_refused_by_default(web_server: NginxServer, tmp_path: Path) -> None:
    notebooks.write(web_server.root / "private.ipynb", CELLS)
    done = command(f"{web_server.uri()}private.ipynb", str(tmp_path / "out.ipynb"), cwd=tmp_path)
    assert done.returncode == 65
    assert b"127.0.0.1, which is not a public address" in done.stdout + done.stderr
    assert b"Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "out.ipynb").exists()


@pytest.mark.fault(19)
def test_the_page_of_an_error_is_never_run(web_server: NginxServer, tmp_path: Path) -> None:
    uri = f"{web_server.uri()}no-such-notebook.ipynb"
    done = command(uri, str(tmp_path / "out.ipynb"), "--allow-private-addresses", cwd=tmp_path)
    assert done.returncode == 66
    assert not (tmp_path / "out.ipynb").exists()


@pytest.mark.fault(39)
def test_credentials_are_in_nothing_that_a_run_leaves(web_server: NginxServer, tmp_path: Path) -> None:
    notebooks.write(web_server.root / "secret.ipynb", CELLS)
    uri = web_server.uri().replace("http://", "http://user:s3cret-word@") + "secret.ipynb?signature=s3cret-sign"
    done = command(uri, str(tmp_path / "out.ipynb"), "--allow-private-addresses", cwd=tmp_path)
    assert done.returncode == 0
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"Ada" not in left
    assert b"s3cret" not in left + done.stdout + done.stderr
