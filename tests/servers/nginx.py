"""nginx with WebDAV, for one test run.

What it does not do, and other servers may: it ignores ``If-Match`` and ``If-None-Match`` on writes, computes no digest
of what arrives, and makes its entity tags from the size and the whole second of the last change, so that two objects
of one size written within a second share one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servers.ports import LOOPBACK, free_port, require, start, stop
from support.needs import missing

_MODULES = Path("/usr/lib/nginx/modules")
_CONFIGURATION = """
load_module {modules}/ngx_http_dav_ext_module.so;
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  server {{
    listen {address}:{port};
    root {folder}/root;
    location / {{
      dav_methods PUT DELETE MKCOL MOVE;
      dav_ext_methods PROPFIND OPTIONS;
    }}
    location /read-only/ {{ }}
    location /private/ {{ return 403 "a body that is no notebook"; }}
    location /away/ {{ return 302 http://127.0.0.2:{port}/latest/meta-data; }}
    location /round/ {{ return 302 /round/again; }}
    location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
  }}
}}
"""


@dataclass(frozen=True)
class NginxServer:
    port: int
    root: Path

    def uri(self, port: int | None = None) -> str:
        """The root's, possibly through a proxy."""
        return f"http://{LOOPBACK}:{port or self.port}/"


@contextmanager
def running(folder: Path) -> Iterator[NginxServer]:
    binary = require("nginx", "nginx-light")
    if not (_MODULES / "ngx_http_dav_ext_module.so").exists():
        missing("nginx", "nginx has no dav-ext module (Debian package libnginx-mod-http-dav-ext)")
    port, root = free_port(), folder / "root"
    root.mkdir()
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(port=port, address=LOOPBACK, folder=folder, modules=_MODULES))
    process = start([binary, "-p", str(folder), "-c", str(configuration)], port, folder / "nginx.log")
    try:
        yield NginxServer(port, root)
    finally:
        stop(process)
