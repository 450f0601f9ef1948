"""SFTP: host keys, keys, connections that fail in the middle, and speed."""

from __future__ import annotations

import getpass
import os
import pwd
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from nbstep_runner.contract import StorageOptions
from nbstep_runner.errors import BadInputError, OutputConflictError, StorageDeniedError, StorageUnavailableError
from nbstep_runner.stores import ABSENT, Store, check_output, open_store, sftp_writing
from nbstep_runner.stores.atomicfile import TEMP_PREFIX, TEMP_SUFFIX
from servers import cutproxy, sshd
from servers.cutproxy import Cut, CutProxy, Plan
from servers.places import within
from servers.ports import wait_until
from servers.rclone import RcloneSftp

OBJECT = os.urandom(3_000_000)


def options(server: sshd.SshServer, **changes: object) -> StorageOptions:
    settings = {"known_hosts": str(server.known_hosts), "identity_file": str(server.identity_file), **changes}
    return StorageOptions(**settings)  # type: ignore[arg-type]  # as the dataclass says


@pytest.fixture
def store(ssh_server: sshd.SshServer, sftp_folder: str) -> Store:
    return open_store(sftp_folder, options(ssh_server))


@pytest.fixture
def proxy(ssh_server: sshd.SshServer) -> Iterator[CutProxy]:
    with cutproxy.running(ssh_server.port) as running:
        ssh_server.trust(running.port)
        yield running


def through(proxy: CutProxy, server: sshd.SshServer, folder: str) -> str:
    return folder.replace(f":{server.port}/", f":{proxy.port}/")


@pytest.mark.fault(46)
def test_an_unknown_host_key_is_refused_with_the_line_to_add(
    ssh_server: sshd.SshServer, sftp_folder: str, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("")
    with pytest.raises(StorageDeniedError, match=r"is not known: it shows SHA256:") as refused:
        open_store(sftp_folder, options(ssh_server, known_hosts=str(known))).write(sftp_folder + "a", b"x")
    line = refused.value.hint.partition(f"{known}: ")[2]
    known.write_text(line + "\n")
    open_store(sftp_folder, options(ssh_server, known_hosts=str(known))).write(sftp_folder + "a", b"x")


@pytest.mark.fault(46)
def test_a_changed_host_key_is_refused_as_an_attack(
    ssh_server: sshd.SshServer, sftp_folder: str, tmp_path: Path
) -> None:
    other = sshd.make_key(tmp_path / "other").with_suffix(".pub").read_text()
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{ssh_server.port} {other}")
    lines: list[str] = []
    with pytest.raises(StorageDeniedError, match="has changed: this may be an attack"):
        open_store(sftp_folder, options(ssh_server, known_hosts=str(known)), on_retry=lines.append).stat(
            sftp_folder + "a"
        )
    assert lines == []


@pytest.mark.fault(46)
@pytest.mark.parametrize("missing", ["known_hosts", "identity_file"])
def test_a_file_that_was_not_mounted_is_named(ssh_server: sshd.SshServer, sftp_folder: str, missing: str) -> None:
    with within(2.0), pytest.raises(StorageDeniedError, match="/nowhere/file cannot be read"):
        open_store(sftp_folder, options(ssh_server, **{missing: "/nowhere/file"})).stat(sftp_folder + "a")


@pytest.mark.fault(19)
def test_a_key_that_is_not_accepted_is_refused(ssh_server: sshd.SshServer, sftp_folder: str, tmp_path: Path) -> None:
    stranger = sshd.make_key(tmp_path / "stranger")
    with within(5.0), pytest.raises(StorageDeniedError, match="Permission denied"):
        open_store(sftp_folder, options(ssh_server, identity_file=str(stranger))).stat(sftp_folder + "a")


@pytest.mark.fault(39)
def test_a_password_is_in_no_message(ssh_server: sshd.SshServer, sftp_folder: str, tmp_path: Path) -> None:
    folder = sftp_folder.replace("sftp://", "sftp://someone:s3cret-word@")
    stranger = sshd.make_key(tmp_path / "stranger")
    lines: list[str] = []
    store = open_store(folder, options(ssh_server, identity_file=str(stranger)), on_retry=lines.append)
    with pytest.raises(StorageDeniedError) as refused:
        store.read(folder + "a.ipynb")
    said = [str(refused.value), refused.value.hint, refused.value.context, repr(refused.value.__cause__), *lines]
    assert "s3cret-word" not in "".join(said)
    assert "someone:***@" in refused.value.message


@pytest.mark.fault(22)
@pytest.mark.parametrize("cut", list(Cut))
@pytest.mark.parametrize("after", [100_000, 1_500_000])
def test_an_upload_that_is_cut_is_done_again(
    proxy: CutProxy, ssh_server: sshd.SshServer, store: Store, sftp_folder: str, cut: Cut, after: int
) -> None:
    store.write(sftp_folder + "a.ipynb", b"good")
    proxy.plans.append(Plan(cut, after))
    folder, lines = through(proxy, ssh_server, sftp_folder), list[str]()
    with within(10.0):
        cut_store = open_store(folder, options(ssh_server, retry_seconds=8.0), on_retry=lines.append)
        cut_store.write(folder + "a.ipynb", OBJECT)
    assert store.read(sftp_folder + "a.ipynb").data == OBJECT
    assert len(lines) == 1
    assert proxy.connections == 2


@pytest.mark.fault(22)
@pytest.mark.parametrize("cut", [Cut.RESET, Cut.FLIP])
def test_an_upload_that_is_always_cut_leaves_the_old_object(
    proxy: CutProxy, ssh_server: sshd.SshServer, store: Store, sftp_folder: str, cut: Cut
) -> None:
    store.write(sftp_folder + "a.ipynb", b"good")
    proxy.plans.append(Plan(cut, 500_000, times=10_000))
    folder = through(proxy, ssh_server, sftp_folder)
    with pytest.raises(StorageUnavailableError, match="failed"):
        open_store(folder, options(ssh_server, retry_seconds=2.0)).write(folder + "a.ipynb", OBJECT)
    assert store.read(sftp_folder + "a.ipynb").data == b"good"
    assert [stat.uri for stat in store.list(sftp_folder)] == [sftp_folder + "a.ipynb"]


@pytest.mark.fault(16)
@pytest.mark.parametrize("cut", list(Cut))
def test_a_download_that_is_cut_is_done_again(
    proxy: CutProxy, ssh_server: sshd.SshServer, store: Store, sftp_folder: str, cut: Cut
) -> None:
    store.write(sftp_folder + "a.ipynb", OBJECT)
    proxy.plans.append(Plan(cut, 1_000_000, to_server=False))
    folder = through(proxy, ssh_server, sftp_folder)
    assert open_store(folder, options(ssh_server, retry_seconds=8.0)).read(folder + "a.ipynb").data == OBJECT


@pytest.mark.fault(18)
def test_a_server_that_is_away_is_waited_for_and_then_given_up(ssh_server: sshd.SshServer, sftp_folder: str) -> None:
    nobody = sftp_folder.replace(f":{ssh_server.port}/", ":1/")
    with within(2.5), pytest.raises(StorageUnavailableError):
        open_store(nobody, options(ssh_server, retry_seconds=2.0)).stat(nobody + "a")


@pytest.mark.fault(38)
def test_an_output_that_is_a_link_is_refused(store: Store, sftp_folder: str) -> None:
    store.write(sftp_folder + "target", b"precious")
    place = Path("/" + sftp_folder.partition("//")[2].partition("/")[2])
    (place / "link.ipynb").symlink_to(place / "target")
    with pytest.raises(BadInputError, match="symbolic link"):
        store.write(sftp_folder + "link.ipynb", b"x")
    assert store.read(sftp_folder + "target").data == b"precious"
    assert store.read(sftp_folder + "link.ipynb").data == b"precious"


def test_versions_differ_within_a_second(store: Store, sftp_folder: str) -> None:
    """The protocol knows whole seconds; objects of one size are told apart all the same."""
    versions = [store.write(sftp_folder + "a.json", f"{turn}".encode()) for turn in range(5)]
    assert len(set(versions)) == 5


@pytest.mark.fault(12)
def test_leftovers_of_killed_writers_go_when_old(store: Store, sftp_folder: str) -> None:
    place = Path("/" + sftp_folder.partition("//")[2].partition("/")[2])
    place.mkdir(parents=True)
    old, young = (place / f"{TEMP_PREFIX}{name}{TEMP_SUFFIX}" for name in ("old", "young"))
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (1, 1))
    store.write(sftp_folder + "a", b"x")
    wait_until(lambda: not old.exists())
    assert [stat.uri for stat in store.list(sftp_folder)] == [sftp_folder + "a"]
    assert young.exists()


def test_a_container_whose_user_has_no_name_can_connect(
    ssh_server: sshd.SshServer, sftp_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    user = getpass.getuser()
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    nameless = options(ssh_server, retry_seconds=3.1)  # a connection of its own
    named = sftp_folder.replace("sftp://", f"sftp://{user}@")
    with pytest.raises(BadInputError, match="user to log in as is not known"):
        open_store(sftp_folder, nameless).stat(sftp_folder.replace("127.0.0.1", "localhost") + "a")
    monkeypatch.setenv("LOGNAME", "")  # restored afterwards, whatever is set
    assert open_store(named, nameless).stat(named + "a") is None


def test_a_path_below_home_is_relative(ssh_server: sshd.SshServer, store: Store) -> None:
    home = f"sftp://127.0.0.1:{ssh_server.port}/~/"
    assert store.stat(f"{home}no-such-file-of-nbstep") is None


def test_fifty_megabytes_take_seconds(store: Store, sftp_folder: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(50_000_000))
    started = time.monotonic()
    store.write(sftp_folder + "large", tmp_path / "large")
    blob = store.read(sftp_folder + "large")
    assert time.monotonic() - started < 10.0
    assert blob.data == (tmp_path / "large").read_bytes()


@pytest.fixture
def plain(plain_ssh_server: sshd.SshServer, plain_sftp_folder: str) -> Store:
    """On a server that has neither ``posix-rename`` nor hard links."""
    return open_store(plain_sftp_folder, options(plain_ssh_server))


@pytest.mark.fault(66)
def test_the_flag_follows_what_the_server_offers(
    store: Store, sftp_folder: str, plain: Store, plain_sftp_folder: str
) -> None:
    for each, folder, at_once in ((store, sftp_folder, True), (plain, plain_sftp_folder, False)):
        assert not each.atomic_replace
        each.write(folder + "a", b"x")
        assert (each.atomic_replace, each.conditional_write, each.verified) == (at_once, False, True)


@pytest.mark.fault(65)
def test_a_file_that_a_killed_writer_left_aside_is_not_lost(plain: Store, plain_sftp_folder: str) -> None:
    """Without ``posix-rename`` the old file is aside for a moment; a writer that dies then leaves it there."""
    uri, place = plain_sftp_folder + "a.ipynb", _folder_of(plain_sftp_folder)
    version = plain.write(uri, b"precious")
    aside = place / f"{TEMP_PREFIX}a.ipynb.old"
    (place / "a.ipynb").rename(aside)
    assert plain.read(uri).data == b"precious"
    stat = plain.stat(uri)
    assert stat is not None
    assert (stat.version, [found.uri for found in plain.list(plain_sftp_folder)]) == (version, [uri])
    with pytest.raises(OutputConflictError):
        plain.write(uri, b"another", if_version=ABSENT)
    plain.write(uri, b"the next writer's", if_version=version)
    assert plain.read(uri).data == b"the next writer's"
    assert not aside.exists()
    (place / "a.ipynb").rename(aside)
    plain.delete(uri)
    assert list(place.iterdir()) == []


@pytest.mark.fault(66)
def test_a_server_whose_rename_replaces_promises_nothing_and_is_asked_first(
    rclone_sftp: RcloneSftp, rclone_sftp_folder: str
) -> None:
    settings = StorageOptions(known_hosts=str(rclone_sftp.known_hosts), identity_file=str(rclone_sftp.identity_file))
    store, uri = open_store(rclone_sftp_folder, settings), rclone_sftp_folder + "a"
    store.write(uri, b"first", if_version=ABSENT)
    with pytest.raises(OutputConflictError):
        store.write(uri, b"second", if_version=ABSENT)
    version = store.write(uri, OBJECT * 3)
    stat = store.stat(uri)
    assert stat is not None
    assert (stat.version, store.conditional_write, store.atomic_replace) == (version, False, False)


@pytest.mark.fault(65)
def test_a_moment_in_which_a_server_finds_nothing_is_waited_out(
    rclone_sftp: RcloneSftp, rclone_sftp_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a moment of rclone's is too rare to wait for: its first two answers are replaced here."""
    settings = StorageOptions(known_hosts=str(rclone_sftp.known_hosts), identity_file=str(rclone_sftp.identity_file))
    store, uri = open_store(rclone_sftp_folder, settings), rclone_sftp_folder + "a"
    version = store.write(uri, b"first")
    ask = asyncssh.SFTPClient.stat
    gone = iter([True, True])

    async def answer(client: asyncssh.SFTPClient, *arguments: Any, **options: Any) -> asyncssh.SFTPAttrs:
        if next(gone, False):
            raise asyncssh.SFTPNoSuchFile("Not found")
        return await ask(client, *arguments, **options)

    monkeypatch.setattr(asyncssh.SFTPClient, "stat", answer)
    found = store.stat(uri)
    assert found is not None
    assert found.version == version
    assert store.stat(rclone_sftp_folder + "never") is None


@pytest.mark.fault(59)
def test_a_server_that_keeps_other_bytes_is_found_out(
    store: Store, sftp_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk of the server makes of the bytes is read back before the file gets its name."""
    store.write(sftp_folder + "a", b"good")
    send = sftp_writing._send
    damages = iter([True])

    async def damaging(file: Any, data: Any, *rest: Any) -> None:
        await send(file, b"damaged" if next(damages, False) else data, *rest)

    monkeypatch.setattr(sftp_writing, "_send", damaging)
    lines: list[str] = []
    again = open_store(sftp_folder, store._options, on_retry=lines.append)  # type: ignore[attr-defined]  # as the fixture made it
    again.write(sftp_folder + "a", b"precise")
    assert store.read(sftp_folder + "a").data == b"precise"
    assert "kept other bytes" in lines[0]


@pytest.fixture
def stranger() -> Iterator[tuple[Path, StorageOptions, str]]:
    """A server that logs everybody in as a user who is not the owner of what is here; and a folder."""
    if os.geteuid() != 0:
        pytest.skip("another user's files need root")
    with tempfile.TemporaryDirectory(prefix="nbstep-stranger-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with sshd.running(folder) as server:
            key = server.identity_file.with_suffix(".pub")
            key.chmod(0o644)
            (folder / "root").chmod(0o755)
            yield folder / "root", options(server, retry_seconds=5.0), server.uri().replace("//", "//nobody@")


@pytest.mark.fault(19)
def test_a_folder_below_one_that_is_forbidden_is_denied(stranger: tuple[Path, StorageOptions, str]) -> None:
    _, settings, uri = stranger
    with pytest.raises(StorageDeniedError, match="does not allow"):
        open_store(uri, settings).write(uri + "one/two/three/a.ipynb", b"x")


@pytest.mark.fault(19)
def test_anothers_file_in_a_sticky_folder_is_found_before_the_first_cell(
    stranger: tuple[Path, StorageOptions, str],
) -> None:
    root, settings, uri = stranger
    shared = root / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "out.ipynb").write_text("another's")
    store = open_store(uri, settings)
    with pytest.raises(StorageDeniedError, match="another user's"):
        check_output(uri + "shared/out.ipynb", store)
    check_output(uri + "shared/new.ipynb", store)
    assert [path.name for path in shared.iterdir()] == ["out.ipynb"]


def _folder_of(uri: str) -> Path:
    return Path("/" + uri.partition("//")[2].partition("/")[2])
