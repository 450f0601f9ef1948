"""Every server that stores are tried on, by the name that the table in docs/storage.md gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nbstep_runner.contract import StorageOptions
from nbstep_runner.stores import Store, open_store

_FOLDERS: Final[dict[str, tuple[str, str | None]]] = {
    "file": ("tmp_path", None),
    "gs": ("gcs_folder", None),
    "moto": ("s3_folder", None),
    "versitygw": ("gateway_folder", None),
    "rclone-s3": ("rclone_s3_folder", None),
    "openssh": ("sftp_folder", "ssh_server"),
    "openssh-plain": ("plain_sftp_folder", "plain_ssh_server"),
    "rclone-sftp": ("rclone_sftp_folder", "rclone_sftp"),
    "nginx": ("web_folder", None),
    "apache": ("apache_folder", None),
    "rclone-dav": ("rclone_dav_folder", None),
}
"""Each server's fixture of an empty folder, and of the files that its clients need."""
EVERY: Final = tuple(_FOLDERS)
WITH_FOLDERS: Final = tuple(kind for kind in EVERY if kind not in {"gs", "moto"})
"""Those that keep objects as files: folders are made, and may be missing."""


@dataclass
class Where:
    """A place on one server.

    Attributes:
        folder: Empty at first; ends with ``/``.
        counts: What happened there, by what was tried.
    """

    kind: str
    folder: str
    options: StorageOptions
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def on(cls, kind: str, fixture: Callable[[str], Any]) -> Where:
        """A new place on the server of that name, which is started if it does not run yet."""
        folder, keys = _FOLDERS[kind]
        options = StorageOptions(allow_private_addresses=True)
        if keys:
            server = fixture(keys)
            options = StorageOptions(known_hosts=str(server.known_hosts), identity_file=str(server.identity_file))
        place = fixture(folder)
        return cls(kind, f"{place}/" if isinstance(place, Path) else place, options)

    def store(self) -> Store:
        """A client of its own."""
        return open_store(self.folder, self.options)

    def count(self, what: str, came: object) -> None:
        self.counts.setdefault(what, Counter())[str(came)] += 1

    @property
    def flags(self) -> list[str]:
        """The options as a command takes them."""
        named = {"--known-hosts": self.options.known_hosts, "--identity-file": self.options.identity_file}
        given = [text for flag, value in named.items() if value for text in (flag, value)]
        return [*given, *(["--allow-private-addresses"] if self.options.allow_private_addresses else [])]
