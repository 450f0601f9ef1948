"""S3 against a server that others wrote: what it refuses, what it keeps of the past, how it is reached."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, OutputConflictError, StorageDeniedError
from nbstep_runner.stores import ABSENT, open_store
from servers import versitygw
from servers.fixtures import new_name
from servers.ports import require
from servers.s3 import S3Server
from servers.versitygw import GatewayServer


@pytest.mark.fault(66)
def test_its_conditions_are_found_to_be_true(gateway_folder: str) -> None:
    store = open_store(gateway_folder)
    first = store.write(gateway_folder + "a", b"1", if_version=ABSENT)
    store.write(gateway_folder + "a", b"2", if_version=first)
    assert (store.conditional_write, store.atomic_replace, store.verified) == (True, True, True)


@pytest.mark.parametrize(("name", "value"), [("AWS_SECRET_ACCESS_KEY", "another"), ("AWS_ACCESS_KEY_ID", "stranger")])
def test_a_wrong_key_is_denied_with_where_it_comes_from(
    gateway_folder: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    lines: list[str] = []
    store = open_store(gateway_folder, StorageOptions(retry_seconds=5), on_retry=lines.append)
    for operation in (lambda: store.read(gateway_folder + "a"), lambda: store.write(gateway_folder + "a", b"x")):
        with pytest.raises(StorageDeniedError, match="does not accept the access key") as denied:
            operation()
        assert "AWS_SECRET_ACCESS_KEY" in denied.value.hint
    assert lines == []


@pytest.mark.parametrize("condition", [None, ABSENT])
@pytest.mark.parametrize("name", ["folder", "object/below", "x" * 300 + ".ipynb"])
def test_a_name_that_cannot_be_is_bad_input(gateway_folder: str, name: str, condition: str | None) -> None:
    store = open_store(gateway_folder, StorageOptions(retry_seconds=5))
    store.write(gateway_folder + "folder/object", b"x")
    store.write(gateway_folder + "object", b"x")
    with pytest.raises(BadInputError, match=r"name cannot be used|refuses"):
        store.write(gateway_folder + name, b"x", if_version=condition)


def test_a_file_that_was_put_below_a_gateway_has_a_version_too(gateway: GatewayServer, gateway_folder: str) -> None:
    """The gateway tells no entity tag of it: time and size stand for one, and the condition is checked just before."""
    uri, store = gateway_folder + "put.ipynb", open_store(gateway_folder, StorageOptions(retry_seconds=20))
    (gateway.root / gateway_folder.split("/")[2] / "put.ipynb").write_bytes(b"{}")
    blob = store.read(uri)
    assert blob.data == b"{}"
    assert [(stat.uri, stat.version) for stat in store.list(gateway_folder)] == [(uri, blob.version)]
    store.write(uri, b"mine", if_version=blob.version)
    assert not store.conditional_write
    with pytest.raises(OutputConflictError):
        store.write(uri, b"late", if_version=blob.version)


@pytest.mark.fault(59)
@pytest.mark.parametrize("before", ["UploadPart", "CompleteMultipartUpload"])
def test_parts_whose_upload_the_store_forgot_are_sent_anew(
    gateway: GatewayServer, gateway_folder: str, tmp_path: Path, before: str
) -> None:
    (tmp_path / "large").write_bytes(bytes(20_000_000))
    lines: list[str] = []
    store = open_store(gateway_folder, on_retry=lines.append)
    forgotten: list[str] = []

    def forget(params: dict[str, str], **_: object) -> None:
        if not forgotten:
            forgotten.append(params["UploadId"])
            gateway.client().abort_multipart_upload(
                Bucket=params["Bucket"], Key=params["Key"], UploadId=params["UploadId"]
            )

    store._client.meta.events.register(f"provide-client-params.s3.{before}", forget)  # type: ignore[attr-defined]  # the one way to come between
    store.write(gateway_folder + "large", tmp_path / "large", if_version=ABSENT)
    assert store.read(gateway_folder + "large").data == bytes(20_000_000)
    assert "NoSuchUpload" in lines[0]


@pytest.fixture(scope="module")
def locking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayServer]:
    folder, versions = tmp_path_factory.mktemp("locking"), tmp_path_factory.mktemp("versions")
    with versitygw.running(folder, "--versioning-dir", str(versions)) as server:
        yield server


def test_a_versioned_and_locked_bucket_takes_runs(locking: GatewayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is replaced or deleted stays as an older version until its retention ends; a run needs nothing of it."""
    for name, value in locking.environment().items():
        monkeypatch.setenv(name, value)
    bucket, client = new_name(), locking.client()
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}}
    client.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=rule)
    uri = f"s3://{bucket}/out.ipynb"
    store = open_store(uri)
    first = store.write(uri, b"1", if_version=ABSENT)
    store.write(uri, b"22", if_version=first)
    with pytest.raises(OutputConflictError):
        store.write(uri, b"333", if_version=first)
    store.write(uri, b"4444")
    assert [stat.size for stat in store.list(f"s3://{bucket}/")] == [4]
    store.delete(uri)
    assert store.stat(uri) is None
    assert len(client.list_object_versions(Bucket=bucket)["Versions"]) >= 3


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayServer]:
    folder = tmp_path_factory.mktemp("secure")
    key, cert = folder / "key.pem", folder / "cert.pem"
    names = ["-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [require("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", cert, *names], check=True, capture_output=True)
    with versitygw.running(folder, tls=(key, cert)) as server:
        yield server


def test_an_authority_of_ones_own_is_trusted_when_it_is_named(
    secure: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in secure.environment().items():
        monkeypatch.setenv(name, value)
    bucket = new_name()
    secure.client().create_bucket(Bucket=bucket)
    uri = f"s3://{bucket}/a"
    with pytest.raises(StorageDeniedError, match="certificate of the endpoint is not trusted") as refused:
        open_store(uri, StorageOptions(retry_seconds=5)).write(uri, b"x")
    assert "AWS_CA_BUNDLE" in refused.value.hint
    monkeypatch.setenv("AWS_CA_BUNDLE", str(secure.certificate))
    open_store(uri).write(uri, b"x", if_version=ABSENT)


def test_tls_to_a_plain_port_is_said_at_once(gateway: GatewayServer, gateway_folder: str) -> None:
    lines: list[str] = []
    options = StorageOptions(endpoint_url=gateway.endpoint.replace("http:", "https:"), retry_seconds=20)
    with pytest.raises(BadInputError, match="does not speak TLS") as refused:
        open_store(gateway_folder, options, on_retry=lines.append).read(gateway_folder + "a")
    assert "http://" in refused.value.hint
    assert lines == []


def test_credentials_for_a_while_carry_their_token(
    s3_server: S3Server, s3_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the token service gives is three values; a fourth with its end is heeded by botocore."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", s3_server.endpoint)
    given = (
        botocore.session.get_session()
        .create_client("sts")
        .assume_role(RoleArn="arn:aws:iam::123456789012:role/runner", RoleSessionName="nbstep")["Credentials"]
    )
    names = {"AWS_ACCESS_KEY_ID": "AccessKeyId", "AWS_SECRET_ACCESS_KEY": "SecretAccessKey"}
    for name, key in {**names, "AWS_SESSION_TOKEN": "SessionToken"}.items():
        monkeypatch.setenv(name, given[key])
    seen: list[str] = []
    store = open_store(s3_folder)
    store._client.meta.events.register(  # type: ignore[attr-defined]  # what botocore sends is seen nowhere else
        "before-send.s3", lambda request, **_: seen.append(request.headers["X-Amz-Security-Token"])
    )
    store.write(s3_folder + "a", b"x", if_version=ABSENT)
    assert {value.decode() if isinstance(value, bytes) else value for value in seen} == {given["SessionToken"]}
