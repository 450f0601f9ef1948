"""Which notebooks a server reads by name: none but those of its places, however a name is written."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from nbstep.server.notebooks import Notebooks
from nbstep.server.problems import Problem
from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import InputNotFoundError
from support import notebooks
from support.service import Service, config

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = StorageOptions()


def checked(places: list[str], uri: str, **limits: int) -> str:
    allowed = config(folders={"team": {"uri": "/runs"}}, notebooks=places, limits=limits)
    return Notebooks(allowed).checked(uri, OPTIONS)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "notebooks"
    (folder / "deep").mkdir(parents=True)
    for path in (folder / "a.ipynb", folder / "deep/b c.ipynb", tmp_path / "secret.ipynb"):
        notebooks.write(path, ["1"])
    notebooks.write(tmp_path / "secret.ipynb", ["1"])
    (tmp_path / "notebooks-private").mkdir()
    notebooks.write(tmp_path / "notebooks-private/a.ipynb", ["1"])
    (folder / "link.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "within.ipynb").symlink_to(folder / "a.ipynb")
    (folder / "round.ipynb").symlink_to(folder / "round.ipynb")
    return folder


def test_a_place_that_cannot_be_listed_has_none_to_offer(place: Path) -> None:
    allowed = config(folders={"team": {"uri": "/runs"}}, notebooks=["nosuch://place", str(place)])
    assert f"{place}/a.ipynb" in Notebooks(allowed).some(OPTIONS)


@pytest.mark.parametrize("name", ["a.ipynb", "deep/b c.ipynb", "deep/../a.ipynb", "within.ipynb"])
def test_what_lies_in_a_folder_is_read(place: Path, name: str) -> None:
    assert checked([str(place)], f"{place}/{name}") == str((place / name).resolve())


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.ipynb", "link.ipynb", "folder/secret.ipynb", "../notebooks-private/a.ipynb", "../none.ipynb"),
        *("deep/../../secret.ipynb", "a.ipynb\0", "round.ipynb"),
    ],
)
def test_what_lies_outside_is_refused_whether_or_not_it_is_there(place: Path, name: str) -> None:
    with pytest.raises(Problem) as caught:
        checked([str(place)], f"{place}/{name}")
    assert caught.value.status == 403


@pytest.mark.parametrize(
    "uri",
    [
        *("a.ipynb", "~/a.ipynb", "", "/etc/passwd", "file:///etc/passwd", "latest", "k8s://c/n/j"),
        *("http://169.254.169.254/latest/meta-data", "https://store.example/notebooks/x.ipynb", "gs://other/x.ipynb"),
        *("s3://bucket/notebooks-private/x.ipynb", "s3://bucket/notebooks", "s3://bucket/notebooks/"),
        *("s3://bucket/notebooks/../secret.ipynb", "s3://bucket/notebooks/./x.ipynb", "s3://bucket/notebooks//x.ipynb"),
        *("S3://bucket/notebooks/x.ipynb", "s3://me@bucket/notebooks/x.ipynb", "s3://bucket@evil/notebooks/x.ipynb"),
        *("s3://bucket/notebooks/%2e%2e/x.ipynb", "s3://bucket/notebooks/%252e%252e/x.ipynb"),
        *("s3://bucket/notebooks/..%2fx.ipynb", "s3://bucket/notebooks/a\\..\\x.ipynb", "s3://bucket/notebooks/x#y"),
        *("s3://bucket/notebooks/x?versionId=1", "s3://bucket/notebooks/x::http://evil/", "s3://bucket/notebooks/a\nb"),
        *("https://host/nb/x%3fy", "https://host.evil/nb/x.ipynb", "https://host/nb/%00", "https://host:80/nb/x.ipynb"),
    ],
)
@pytest.mark.fault(62)
def test_no_other_address_is_asked(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server stands where its users do not: it must not fetch for them what they cannot reach."""
    monkeypatch.setattr("nbstep.server.notebooks.store_of", None)  # would fail if it were called
    with pytest.raises(Problem) as caught:
        checked(["s3://bucket/notebooks", "https://host/nb/"], uri)
    assert (caught.value.status, caught.value.reference) == (403, "forbidden")


def test_what_is_none_or_too_large_is_not_read(place: Path) -> None:
    os.mkfifo(place / "pipe.ipynb")
    for name in ("none.ipynb", "pipe.ipynb", "deep"):
        with pytest.raises(InputNotFoundError):
            checked([str(place)], f"{place}/{name}")
    with pytest.raises(Problem) as caught:
        checked([str(place)], f"{place}/a.ipynb", upload_bytes=10)
    assert caught.value.status == 413


def test_a_signature_is_told_as_a_schema(place: Path) -> None:
    cells = [notebooks.Code("alpha: float = 0.5  # how much", tags=("parameters",))]
    notebooks.write(place / "a.ipynb", cells)
    service = Service.of(folders={"team": {"uri": str(place.parent / "runs")}}, notebooks=[str(place)])
    schema = service.get("/v1/notebooks/signature", params={"uri": f"{place}/a.ipynb"}).json()
    assert schema["properties"]["alpha"]["default"] == 0.5
    (place / "broken.ipynb").write_text("{")
    for name, status in (("broken.ipynb", 422), ("none.ipynb", 404), ("../secret.ipynb", 403)):
        answer = service.get("/v1/notebooks/signature", params={"uri": f"{place}/{name}"})
        assert answer.status_code == status


class Leading(BaseHTTPRequestHandler):
    """A server inside whose answers lead elsewhere: to a machine's credentials, and to a file."""

    def do_GET(self) -> None:
        places = {
            "/notebooks/a.ipynb": "http://169.254.169.254/latest/meta-data/",
            "/notebooks/b.ipynb": "file:///etc/passwd",
        }
        self.send_response(302)
        self.send_header("Location", places[self.path])
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.fault(62)
def test_no_redirect_leads_to_what_only_the_server_reaches(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Leading) as leading:
        threading.Thread(target=leading.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{leading.server_port}/notebooks"
        inside = {"uri": str(tmp_path), "profiles": ["small"], "storage": {"allow_private_addresses": True}}
        folders = {"inside": inside, "outside": {"uri": str(tmp_path), "profiles": ["small"]}}
        service = Service.of(folders=folders, notebooks=[place], profiles={"small": {"on": "memory"}})
        for folder, name, said in (
            ("inside", "a", "its own credentials"),
            ("inside", "b", "which is refused"),
            ("outside", "a", "not a public address"),
        ):
            asked = {"notebook": f"{place}/{name}.ipynb"}
            answers = [
                service.post(f"/v1/runs?folder={folder}", json=asked),
                service.get("/v1/notebooks/signature", params={"folder": folder, "uri": asked["notebook"]}),
            ]
            assert [answer.status_code for answer in answers] == [422, 422]
            assert all(said in answer.json()["detail"] for answer in answers)
        leading.shutdown()
    assert list(tmp_path.iterdir()) == []
