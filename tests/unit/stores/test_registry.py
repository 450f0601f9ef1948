"""From a URI to its store, without paying for the others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nbstep_runner.errors import UsageError
from nbstep_runner.stores import describe, open_store, registry

HEAVY = {"aiohttp", "asyncssh", "botocore", "cryptography", "fsspec", "google.auth", "google.cloud", "google_crc32c"}
HEAVY |= {"httpcore", "httpx", "requests", "tenacity", "urllib3"}


def imported_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_a_local_store_imports_no_library() -> None:
    code = "from nbstep_runner.stores import open_store, hurry, redact, sibling\nopen_store('a.ipynb').stat('a.ipynb')"
    assert not imported_by(code) & HEAVY


@pytest.mark.parametrize(
    ("uri", "own"),
    [("gs://b/a", "google.cloud"), ("s3://b/a", "botocore"), ("sftp://h/a", "asyncssh"), ("https://h/a", "httpx")],
)
def test_a_store_imports_only_its_own_library(uri: str, own: str) -> None:
    modules = imported_by(f"from nbstep_runner.stores import open_store\nopen_store('{uri}')")
    assert own in modules
    others = {"google.cloud", "botocore", "asyncssh", "httpx", "fsspec"} - {own}
    assert not modules & others


@pytest.mark.parametrize(("uri", "extra"), [("gs://b/a", "gcs"), ("s3://b/a", "s3"), ("sftp://h/a", "sftp")])
def test_a_missing_package_is_named_by_its_extra(uri: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_importable", lambda _: False)
    with pytest.raises(UsageError, match="needs packages that are not installed") as missing:
        open_store(uri)
    assert missing.value.hint == f"Install them: pip install 'nbstep[{extra}]'"


def test_a_package_below_one_that_is_missing_is_missing() -> None:
    assert not registry._importable("no_such_package.inner")


def test_every_scheme_is_described() -> None:
    promises = {info.scheme: (info.atomic_replace, info.conditional_write) for info in describe()}
    assert {name: promises[name] for name in ("file", "memory", "gs")} == dict.fromkeys(
        ("file", "memory", "gs"), (True, True)
    )
    assert promises["s3"] == (True, None)
    assert promises["sftp"] == (None, False)
    assert promises["http"] == promises["https"] == (False, None)
    assert not promises.keys() & {"simplecache", "ftp"}
