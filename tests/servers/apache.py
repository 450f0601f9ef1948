"""Apache with mod_dav, for one test run.

Its entity tags are weak while an object is younger than a second, and it checks conditions before the body has come.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.ports import LOOPBACK, free_port, require, start, stop

_CONFIGURATION = """
ServerRoot {folder}
ServerName {address}
Listen {address}:{port}
PidFile {folder}/pid
Mutex file:{folder} default
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dav_module {modules}/mod_dav.so
LoadModule dav_fs_module {modules}/mod_dav_fs.so
LoadModule dav_lock_module {modules}/mod_dav_lock.so
User {user}
ErrorLog {folder}/error.log
DavLockDB {folder}/locks
DocumentRoot {folder}/root
KeepAliveTimeout 60
MaxKeepAliveRequests 0
<Directory {folder}/root>
  Dav On
  Require all granted
</Directory>
<Location /read-only>
  <Limit PUT MOVE DELETE MKCOL>
    Require all denied
  </Limit>
</Location>
"""
_MODULES = Path("/usr/lib/apache2/modules")
_USER = "www-data"
"""Apache's children never serve as root: where the tests run as root, they run as this user."""


@dataclass(frozen=True)
class ApacheServer:
    port: int
    root: Path

    def uri(self, port: int | None = None) -> str:
        """The root's, possibly through a proxy."""
        return f"http://{LOOPBACK}:{port or self.port}/"


@contextmanager
def running() -> Iterator[ApacheServer]:
    """A server in a folder of its own, because pytest's temporary folders are open to one user only."""
    binary = require("apache2", "apache2")
    with tempfile.TemporaryDirectory(prefix="nbstep-apache-") as name:
        folder, port = Path(name), free_port()
        (folder / "root").mkdir()
        settings = {"port": port, "address": LOOPBACK, "folder": folder, "modules": _MODULES, "user": _USER}
        (folder / "apache.conf").write_text(_CONFIGURATION.format(**settings))
        if os.geteuid() == 0:
            folder.chmod(0o755)
            for path in (folder, folder / "root"):
                shutil.chown(path, _USER, _USER)
        command = [binary, "-d", name, "-f", str(folder / "apache.conf"), "-DFOREGROUND"]
        process = start(command, port, folder / "apache.log")
        try:
            yield ApacheServer(port, folder / "root")
        finally:
            stop(process)
