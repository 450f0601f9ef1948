"""A registry of images on loopback, for one test run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from servers.ports import LOOPBACK, free_port, require, start, stop

_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CONFIGURATION = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http: {{addr: "{address}:{port}"}}
"""


@dataclass(frozen=True)
class Registry:
    port: int

    @property
    def host(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def manifest(self, image: str) -> dict[str, Any]:
        """What the registry holds under an image's whole name."""
        name, _, tag = image.removeprefix(f"{self.host}/").rpartition(":")
        request = Request(f"http://{self.host}/v2/{name}/manifests/{tag}", headers={"Accept": ", ".join(_MANIFESTS)})
        with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own registry, by http
            found: dict[str, Any] = json.load(answer)
            return found


@contextmanager
def running(folder: Path) -> Iterator[Registry]:
    binary, port = require("docker-registry", "docker-registry"), free_port()
    configuration = folder / "registry.yml"
    configuration.write_text(_CONFIGURATION.format(folder=folder, address=LOOPBACK, port=port))
    process = start([binary, "serve", str(configuration)], port, folder / "registry.log")
    try:
        yield Registry(port)
    finally:
        stop(process)
